"""Train the PEFT methods on small VTAB, each with all tokens and under EViT, and print them as the paper's Table II.

    python tools/analysis_tools/small_vtab.py --out docs/small_vtab.md

The shipped host, six tasks that need no download (docs/small_vtab.md), three epochs, every method for each task and
seed. Runs go seed by seed, and in a seed method by method, so that an early look has whole rows. Every
finished run is a line of the ledger: called again, the tool trains only what is missing there; --show trains nothing.
"""

import argparse
import time
from pathlib import Path

from mmsparse.cli.options import add_precision
from mmsparse.cli.reporting import reporting
from mmsparse.datasets.small_vtab.tasks import TASKS


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--methods', nargs='+', metavar='NAME', help='as the table calls them (default: all)')
    parser.add_argument('--tasks', nargs='+', choices=list(TASKS), default=list(TASKS))
    parser.add_argument('--seeds', type=int, default=3, help='runs per row and task, seeds 0, 1, ... (default: 3)')
    parser.add_argument('--ledger', type=Path, default=Path('docs/results/small_vtab.jsonl'))
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/small_vtab'), help='for logs')
    parser.add_argument(
        '--out', type=Path, help='a page of Markdown: the text between its marker comments is replaced'
    )
    parser.add_argument('--csv', type=Path, help='also write a result file, one row per run (docs/results.md)')
    add_precision(parser, 'bf16, so that another machine knows the runs of the ledger', default='bf16')
    parser.add_argument('--show', action='store_true', help='train nothing: leave out what is not known yet')
    return parser.parse_args()


if __name__ == '__main__':
    parse_args()  # --help and mistakes are answered here, before seconds of imports

from mmsparse.analysis.small_vtab import METHODS, Runs, answers, plan, result_rows, table
from mmsparse.analysis.trials import Ledger, short_trial
from mmsparse.errors import InputError
from mmsparse.utils.spelling import did_you_mean
from mmsparse.visualization.result_file import write_results
from mmsparse.visualization.tables import write_between


def collect(args: argparse.Namespace) -> tuple[Runs, int]:
    """Return the finished runs, and how many there are to be."""
    ledger, runs, wanted = Ledger(args.ledger), {}, 0
    for row, seed, task, cfg in plan(args.methods, args.tasks, args.seeds, args.work_dir, args.precision):
        wanted += 1
        known = ledger.find(cfg)
        if known is None and not args.show:
            print(f'{time.strftime("%H:%M")} seed {seed}, {task}: {row.method}, {row.reduction} ...', flush=True)
            known = ledger.get(cfg, short_trial, method=row.method, tokens=row.reduction, task=task, seed=seed)
        if known:
            runs.setdefault(row, {}).setdefault(seed, {})[task] = known
    return runs, wanted


def markdown(runs: Runs, wanted: int, seeds: int) -> str:
    """Return what stands between the markers of the page."""
    done = sum(len(by_task) for by_seed in runs.values() for by_task in by_seed.values())
    precisions = sorted(
        {run['precision'] for own in runs.values() for tasks in own.values() for run in tasks.values()}
    )
    compared, said = answers(runs)
    text = [f'{done} of {wanted} runs are in ({", ".join(precisions) or "none"}).', '']
    text += ['## Methods', '', table(runs, seeds).markdown(), '', '## In pairs', '', compared.markdown(), '']
    return '\n'.join(text + [f'- {sentence}' for sentence in said])


def main() -> None:
    args = parse_args()
    with reporting(lambda: 'Finished runs are kept: the same command goes on.'):
        args.methods = args.methods or list(METHODS)
        for method in args.methods:
            if method not in METHODS:
                raise InputError(
                    f'--methods: received {method!r}, expected some of {", ".join(METHODS)}.'
                    f'{did_you_mean(method, METHODS)}'
                )
        runs, wanted = collect(args)
        text = markdown(runs, wanted, args.seeds)
        print(text)
        if args.csv:
            write_results(result_rows(runs), args.csv)
        if args.out:
            write_between(args.out, text)
            print(f'Written to {args.out}.')


if __name__ == '__main__':
    main()
