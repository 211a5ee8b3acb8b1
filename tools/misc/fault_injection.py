"""Run campaigns of deliberate faults: what docs/reliability.md promises, tried at many random places.

    python tools/misc/fault_injection.py
    python tools/misc/fault_injection.py kills disks --trials 10 --seed 1

Without names all run, in their full numbers: an hour or two on one core. A trial that fails is named with its reason,
and the others go on. --write puts the counts on the page, beside those that are there. Exit status: 0, or 1 where a
trial failed.
"""

import argparse
import json
import sys
from dataclasses import asdict
from importlib import import_module
from pathlib import Path

from mmsparse.cli.reporting import reporting

NAMES = ('asks', 'disks', 'numbers', 'ranks', 'pictures', 'files', 'kills', 'stops', 'endurance')


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('names', nargs='*', metavar='NAME', help=f'some of {", ".join(NAMES)} (default: all)')
    parser.add_argument('--trials', type=int, help='of each campaign (default: as many as its promise needs)')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--write', action='store_true', help='put the counts on the page and into the ledger')
    parser.add_argument('--page', type=Path, default=Path('docs/reliability.md'))
    parser.add_argument('--ledger', type=Path, default=Path('docs/results/reliability.jsonl'))
    args = parser.parse_args()
    if unknown := set(args.names) - set(NAMES):
        parser.error(f'no campaign {", ".join(sorted(unknown))}; expected some of {", ".join(NAMES)}.')
    if args.trials is not None and args.trials < 1:
        parser.error('--trials expects at least 1.')
    return args


if __name__ == '__main__':
    parse_args()  # --help and mistakes are answered here, before seconds of imports


def write(counts, ledger: Path, page: Path) -> None:
    """Put counts into the ledger, and the last ones of every campaign on the page."""
    from mmsparse.analysis.campaigns.campaign import COLUMNS, Counts
    from mmsparse.visualization.tables import Table, write_between

    ledger.parent.mkdir(parents=True, exist_ok=True)
    with ledger.open('a') as file:
        file.write(json.dumps(asdict(counts)) + '\n')
    last = {own.name: own for own in (Counts(**json.loads(line)) for line in ledger.read_text().splitlines())}
    write_between(page, Table(COLUMNS, [last[name].row() for name in NAMES if name in last]).markdown())


def main() -> None:
    args = parse_args()
    with reporting(lambda: 'What has ended is above.'):
        from mmsparse.analysis.campaigns.campaign import run

        failed = 0
        for name in args.names or NAMES:
            campaign = import_module(f'mmsparse.analysis.campaigns.{name}').CAMPAIGN
            counts = run(campaign, args.trials or campaign.trials, args.seed, lambda text: print(text, flush=True))
            failed += counts.trials - counts.passed
            print(counts.line(), flush=True)
            if args.write:
                write(counts, args.ledger, args.page)
    sys.exit(int(failed > 0))


if __name__ == '__main__':
    main()
