"""Merge an adapter into its host: a plain checkpoint that the host's own library loads strictly.

    python tools/model_converters/merge_adapter.py configs/peft/tiny_lora_digits.py work_dirs/tiny_lora_digits/epoch_10
    merged.safetensors

timm: the host's keys, and the trained head as head.*. mmpretrain: those of an ImageClassifier. open_clip and
transformers: those of the visual tower, without a head.
"""

import argparse
from pathlib import Path

from mmsparse.cli.options import Changes, parse
from mmsparse.cli.reporting import reporting
from mmsparse.errors import InputError


def parse_args() -> argparse.Namespace:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument('config')
    options.add_argument('adapter', help='folder of a state, or the adapter.safetensors in it')
    options.add_argument('out', type=Path, help='file to write, .safetensors or .pth')
    options.add_argument(
        '--cfg-options',
        nargs='+',
        action=Changes,
        metavar='KEY=VALUE',
        help='change entries of the config: a.b=1 c="[1,2]"',
    )
    return parse(options)


if __name__ == '__main__':
    parse_args()  # --help and mistakes are answered here, before seconds of imports

import torch
from safetensors.torch import save_file

from mmsparse.apis.adapted import adapted
from mmsparse.config.read import read_config
from mmsparse.convert.merge import merge_adapters
from mmsparse.state.saved_tensors import normalisation

SUFFIXES = ('.safetensors', '.pth')


def main() -> None:
    args = parse_args()
    with reporting(lambda: 'Nothing was written.'):
        if args.out.suffix not in SUFFIXES:
            raise InputError(f'{args.out}: expected a name ending in {" or ".join(SUFFIXES)}.')
        args.out.parent.mkdir(parents=True, exist_ok=True)
        cfg = read_config(args.config, args.cfg_options)
        model = adapted(cfg, args.adapter)
        left_out = ', '.join(type(part).__name__ for part in model.backbone.sparsifiers)
        pixels = normalisation(model)
        tensors, options = merge_adapters(model, cfg.model)
        if args.out.suffix == '.pth':
            torch.save(tensors, args.out)
        else:
            save_file(tensors, args.out)
        print(
            f'{args.out}: {len(tensors)} tensors, {sum(value.numel() for value in tensors.values()):,} numbers, '
            'loaded strictly and compared.'
        )
        print(f'Its pixels: mean {pixels["mean"]}, std {pixels["std"]}, of 0 to 255.')
        if options:
            print(
                f'Build its model with {", ".join(f"{key}={value!r}" for key, value in options.items())}: that is '
                'what the head was trained on.'
            )
        if len(tensors) == len((host := model.backbone.host).state_dict()):
            package = type(host).__module__.split('.')[0]
            print(
                f'Without the trained head: the visual tower of {package} has no place for one. It stays in '
                f'{args.adapter}.'
            )
        if left_out:
            print(
                f'Without {left_out}: a plain checkpoint computes all rows, so its answers may differ from those of '
                'the reduced model.'
            )


if __name__ == '__main__':
    main()
