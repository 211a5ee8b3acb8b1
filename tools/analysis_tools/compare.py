"""Train several configs on the same small data with the same seeds, and put what came out beside each other.

python tools/analysis_tools/compare.py configs/sparsify/tiny_*_digits.py --data digits photos --seeds 3 --out
docs/sparsifier_results.md

Data and number of classes come from --data, all else from each config. Every finished run is a line in the ledger:
called again, the tool trains only what is missing there. A run is known by its config: after a change of a method's
code begin another --ledger. --show prints what is known and trains nothing.
"""

import argparse
import time
from pathlib import Path
from statistics import mean

from mmsparse.cli.options import SMALL, add_precision, parse
from mmsparse.cli.reporting import reporting


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('configs', nargs='+', type=Path)
    parser.add_argument('--data', nargs='+', choices=list(SMALL), default=list(SMALL))
    parser.add_argument(
        '--seeds', type=int, default=3, help='runs per config and data, with seeds 0, 1, ... (default: 3)'
    )
    parser.add_argument('--ledger', type=Path, default=Path('work_dirs/compare/results.jsonl'))
    parser.add_argument(
        '--out',
        type=Path,
        help='a page of Markdown: the text between its two marker comments is replaced, or the page is made',
    )
    parser.add_argument(
        '--csv', type=Path, help='a result file, one row per run, that tools/analysis_tools/plot_results.py draws'
    )
    add_precision(parser, 'as the configs say: auto')
    parser.add_argument('--show', action='store_true', help='train nothing: leave out what is not known yet')
    args = parse(parser, lambda args: args.configs)
    stems = [path.stem for path in args.configs]
    if len(set(stems)) < len(stems):
        parser.error('two configs have the same name, which is what a row is called.')
    return args


if __name__ == '__main__':
    parse_args()  # --help and mistakes are answered here, before seconds of imports

from mmsparse.analysis.trials import Ledger, config_copy, spread, trial_config
from mmsparse.engine.hooks.start_card import stages
from mmsparse.visualization.result_file import Result, write_results
from mmsparse.visualization.tables import Table, write_between

HEAD = (
    'config',
    'top-1 in %',
    'trainable',
    'KiB',
    'GFLOPs',
    'tokens',
    'training img/s',
    'test img/s',
    'test speed, host = 1',
    'KiB for backward',
)


def collect(args: argparse.Namespace) -> dict[str, dict[str, list[dict]]]:
    """Return the results of all seeds by data and config; seed by seed, so that an early look shows all rows."""
    ledger = Ledger(args.ledger)
    results = {data: {path.stem: [] for path in args.configs} for data in args.data}
    for seed in range(args.seeds):
        for data in args.data:
            for path in args.configs:
                cfg = trial_config(
                    config_copy(path), config_copy(SMALL[data]), seed, args.ledger.parent, args.precision
                )
                known = ledger.find(cfg)
                if known is None and not args.show:
                    print(f'{time.strftime("%H:%M")} {data}, seed {seed}: {path.stem} ...', flush=True)
                    known = ledger.get(cfg, config=path.stem, data=data, seed=seed)
                about = dict(seed=seed, length=f'{cfg.train_cfg.max_epochs} epochs')
                results[data][path.stem] += [known | about] if known else []
    return results


def row(name: str, runs: list[dict]) -> list[str]:
    """Return the cells of one config: means, lowest to highest accuracy, and the fastest img/s, since other work on a
    machine only slows.
    """
    start, *rows = runs[0]['tokens']
    values = {key: mean(run[key] for run in runs) for key in ('accuracy', 'gflops', 'speed')}
    values |= {key: max(run[key] for run in runs) for key in ('train img/s', 'test img/s')}
    return [
        name,
        f'{values["accuracy"]:.1f}{spread(runs)}',
        f'{runs[0]["trainable"]:,}',
        f'{runs[0]["kib"]:,.0f}',
        f'{values["gflops"]:.3f}',
        stages(start, rows) if len(set(rows)) < 5 else f'{start} to {rows[-1]} in {len(rows)} layers',
        f'{values["train img/s"]:.0f}',
        f'{values["test img/s"]:.0f}',
        f'{values["speed"]:.2f}',
        f'{runs[-1]["saved"] / 1024:,.0f}',
    ]


def markdown(results: dict[str, dict[str, list[dict]]]) -> str:
    """Return one table per data."""
    text = []
    for data, rows in results.items():
        missing = [name for name, runs in rows.items() if not runs]
        seeds = {len(runs) for runs in rows.values() if runs}
        lines = [row(name, runs) for name, runs in rows.items() if runs]
        precisions = sorted({run['precision'] for runs in rows.values() for run in runs})
        text += [f'## {", ".join([data, "/".join(map(str, sorted(seeds))) + " seeds", *precisions])}', '']
        text += [Table(HEAD, lines).markdown()]
        text += ['', f'Not measured here: {", ".join(missing)}.'] if missing else []
        text += ['']
    return '\n'.join(text)


def result_rows(results: dict[str, dict[str, list[dict]]]) -> list[Result]:
    """Return the runs as a result file holds them."""
    return [
        Result(
            name,
            data,
            run['seed'],
            run['accuracy'],
            gflops=run['gflops'],
            trainable_kib=run['kib'],
            precision=run['precision'],
            length=run['length'],
        )
        for data, rows in results.items()
        for name, runs in rows.items()
        for run in runs
    ]


def main() -> None:
    args = parse_args()
    with reporting(lambda: 'Finished runs are kept: the same command goes on.'):
        results = collect(args)
        text = markdown(results)
        print(text)
        if args.csv:
            write_results(result_rows(results), args.csv)
        if args.out:
            write_between(args.out, text)
            print(f'Written to {args.out}.')


if __name__ == '__main__':
    main()
