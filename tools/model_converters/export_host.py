"""Turn a checkpoint of a pre-training into a small file that ships: half precision, safetensors, with a card beside
it.

    python tools/model_converters/export_host.py configs/pretraining/tiny_cifar10.py \\
        work_dirs/tiny_cifar10/epoch_24/adapter.safetensors mmsparse/assets/tiny_vit.safetensors

The card (OUT with .json) says what the network was trained on, by which config, for how long, and what it reached. The
classifier stays in the file, so that the figure can be measured again; hosts are loaded without it.
"""

import argparse
import hashlib
import json
from pathlib import Path

from mmsparse.cli.options import parse
from mmsparse.cli.reporting import reporting


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config')
    parser.add_argument('checkpoint')
    parser.add_argument('out', type=Path)
    parser.add_argument(
        '--accuracy', type=float, help='top-1 in percent on the test images, as tools/test.py printed it for OUT'
    )
    return parse(parser)


if __name__ == '__main__':
    parse_args()  # --help and mistakes are answered here, before seconds of imports

import torch
from mmengine.config import Config
from safetensors.torch import save_file

from mmsparse.config.read import read_config
from mmsparse.models.hosts.weight_files import read_tensors


def card(cfg: Config, config: str, weights: Path, accuracy: float | None) -> dict:
    dataset = cfg.train_dataloader.dataset
    return dict(
        architecture={
            key: value for key, value in cfg.model.items() if isinstance(value, int | str) and key != 'type'
        },
        classes=list(dataset.metainfo.classes),
        normalisation=dict(mean=cfg.data_preprocessor.mean, std=cfg.data_preprocessor.std),
        data=f'{dataset.data_root}: {dataset.ann_file}',
        config=config,
        epochs=cfg.train_cfg.max_epochs,
        test_accuracy=accuracy,
        sha256=hashlib.sha256(weights.read_bytes()).hexdigest(),
    )


def main() -> None:
    args = parse_args()
    with reporting(lambda: 'Nothing was written.'):
        cfg, state = read_config(args.config), read_tensors(args.checkpoint)
        args.out.parent.mkdir(parents=True, exist_ok=True)
        save_file(
            {key: value.to(torch.float16) if value.is_floating_point() else value for key, value in state.items()},
            args.out,
        )
        about = card(cfg, args.config, args.out, args.accuracy)
        args.out.with_suffix('.json').write_text(json.dumps(about, indent=2) + '\n')
        print(
            f'{args.out}: {args.out.stat().st_size:,} bytes, {sum(value.numel() for value in state.values()):,} '
            'numbers'
        )


if __name__ == '__main__':
    main()
