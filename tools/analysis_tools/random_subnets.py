"""Train the sub-network that a search of NOAH has found, and random ones of its size, and say where it stands.

python tools/analysis_tools/random_subnets.py configs/peft/tiny_noah_digits.py work_dirs/tiny_noah_search/subnet.json

All are trained by the config, with the same seeds. Every finished run is a line in the ledger: called again, the tool
trains only what is missing there.
"""

import argparse
import time
from pathlib import Path
from statistics import mean, median

from mmsparse.cli.options import Changes, parse
from mmsparse.cli.reporting import reporting


def parse_args() -> argparse.Namespace:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument('config', type=Path)
    options.add_argument('subnet', help='subnet.json of the search')
    options.add_argument('--random', type=int, default=10, help='random sub-networks (default: 10)')
    options.add_argument('--seeds', type=int, default=1, help='runs of each, with seeds 0, 1, ... (default: 1)')
    options.add_argument('--ledger', type=Path, default=Path('work_dirs/random_subnets/results.jsonl'))
    options.add_argument('--cfg-options', nargs='+', action=Changes, metavar='KEY=VALUE', help='changes of the config')
    return parse(options)


if __name__ == '__main__':
    parse_args()  # --help and mistakes are answered here, before seconds of imports

import numpy as np

from mmsparse.analysis.from_config import build_from_config
from mmsparse.analysis.trials import Ledger, trial_config
from mmsparse.config.read import read_config
from mmsparse.engine.hooks.random_subnet import supernets
from mmsparse.visualization.tables import Table

NEAR = 0.02  # of its parameters: what counts as its size
DRAWS = 100_000


def subnets(cfg, found: str, count: int) -> list[dict]:
    """Return the found sub-network and random ones of its size, drawn uniformly among those."""
    whole = cfg.copy()
    whole.model.backbone.adapter.subnet = None
    (supernet,) = supernets(build_from_config(whole, 'meta'), 'random_subnets.py')
    chosen, random = [supernet.space.checked(found)], np.random.default_rng(0)
    size = supernet.count(chosen[0])
    for _ in range(DRAWS):
        other = supernet.space.drawn(random)
        if len(chosen) <= count and abs(supernet.count(other) - size) <= NEAR * size and other not in chosen:
            chosen.append(other)
    return chosen


def main() -> None:
    args = parse_args()
    with reporting(lambda: 'Finished runs are kept: the same command goes on.'):
        cfg, ledger = read_config(args.config, args.cfg_options), Ledger(args.ledger)
        rows = []
        for number, subnet in enumerate(subnets(cfg, args.subnet, args.random)):
            name, runs = f'random {number}' if number else 'found', []
            cfg.model.backbone.adapter.subnet = subnet
            for seed in range(args.seeds):
                print(f'{time.strftime("%H:%M")} {name}, seed {seed} ...', flush=True)
                runs.append(ledger.get(trial_config(cfg, cfg, seed, args.ledger.parent), subnet=name, seed=seed))
            rows.append((name, mean(run['accuracy'] for run in runs), runs[0]['trainable']))
        cells = [(name, f'{accuracy:.2f}', f'{trainable:,}') for name, accuracy, trainable in rows]
        print(Table(('sub-network', 'top-1 in %', 'trainable'), cells).markdown())
        found, *others = [accuracy for _, accuracy, _ in rows]
        print(f'found {found:.2f} %, median of {len(others)} random ones of its size {median(others):.2f} %')


if __name__ == '__main__':
    main()
