"""Draw what methods reach over what they cost, and where their tokens go. Each figure is written as PNG and SVG.

    python tools/analysis_tools/plot_results.py results.csv --out work_dirs/figures
    python tools/analysis_tools/plot_results.py --tokens configs/sparse_tuning/vitb_cifar100.py
    configs/sparsify/vitb_tome_frozen_cifar100.py

Result files are described in docs/results.md; tools/analysis_tools/collect_results.py and compare.py --csv write them.
Here gflops and trainable_kib must be known. A method is a point at the mean of its runs, with their 95 % interval.

Figures: accuracy_over_gflops, accuracy_over_trainable_kib (the paper's Figure 1), and with --tokens tokens_per_layer,
counted by running each config on one random image with random host weights.
"""

import argparse
from pathlib import Path

from mmsparse.cli.options import parse
from mmsparse.cli.reporting import reporting
from mmsparse.errors import InputError


def parse_args():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument('results', nargs='*', help='result files (.csv)')
    options.add_argument(
        '--tokens', nargs='+', default=[], metavar='CONFIG', help='draw the tokens per layer of these configs'
    )
    options.add_argument(
        '--out',
        type=Path,
        default=Path('work_dirs/figures'),
        help='folder for the figures (default: work_dirs/figures)',
    )
    args = parse(options, lambda args: args.tokens)
    if not args.results and not args.tokens:
        options.error('nothing to draw: expected result files, or --tokens CONFIG.')
    return args


if __name__ == '__main__':
    parse_args()  # --help and mistakes are answered here, before seconds of imports

import torch

from mmsparse.analysis.contenders import build_contenders
from mmsparse.analysis.figures import AXES, draw_results, draw_tokens
from mmsparse.config.read import read_config
from mmsparse.evaluation import rows_per_layer
from mmsparse.models.backbones import SparseViT
from mmsparse.visualization.result_file import check_protocol, read_results


def tokens_of(path: str) -> list[int]:
    """Return the rows that enter each layer's FFN of a config's network."""
    (contender,) = build_contenders([path], {path: read_config(path)})
    if not isinstance(contender.module.backbone, SparseViT):
        raise InputError(
            f'{path}: its backbone is a {type(contender.module.backbone).__name__}, expected mmsparse.SparseViT.'
        )
    image = torch.randn(1, 3, *contender.image_size, generator=torch.Generator().manual_seed(0))
    return rows_per_layer(contender.module, image)


def main() -> None:
    args = parse_args()
    with reporting(lambda: 'The figures so far are written.'):
        files = []
        results = read_results(args.results)
        check_protocol(results)
        if results:
            for cost in AXES:
                files += draw_results(results, cost, args.out / f'accuracy_over_{cost}')
        if args.tokens:
            files += draw_tokens(
                {Path(path).stem: tokens_of(path) for path in args.tokens}, args.out / 'tokens_per_layer'
            )
        print(f'Written: {", ".join(map(str, files))}.')


if __name__ == '__main__':
    main()
