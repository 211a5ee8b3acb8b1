"""Print what a window costs: CLIP alone, and end to end.

    python projects/proxyclip/cost.py projects/proxyclip/configs/voc20_dense.py
    projects/proxyclip/configs/voc20_evit.py

Multiply-adds in units of 10^9, as papers print them. No weights are needed.
"""

import argparse
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

# the configs import this project by its path from the root
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from mmsparse.cli.launch import load_config
from mmsparse.cli.reporting import reporting
from projects.proxyclip.proxyclip.cost import window_cost


def parse_args() -> argparse.Namespace:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument('configs', nargs='+', help='configs of this project')
    options.add_argument('--window', type=int, help="pixels, instead of the config's")
    return options.parse_args()


def main() -> None:
    args = parse_args()
    table = Table('config', 'CLIP', 'VFM', 'proxy attention', 'end to end', title='GFLOPs per window')
    with reporting(lambda: 'Nothing was printed.'):
        for path in args.configs:
            cost = window_cost(_model(path), args.window)
            figures = (cost.clip, cost.vfm, cost.attention, cost.total)
            table.add_row(Path(path).stem, *(f'{figure / 1e9:.1f}' for figure in figures))
    Console().print(table)


def _model(path: str):
    return load_config(
        argparse.Namespace(
            config=path, cfg_options=None, launcher='none', work_dir=None, seed=None, deterministic=False
        ),
        (),
    ).model


if __name__ == '__main__':
    main()
