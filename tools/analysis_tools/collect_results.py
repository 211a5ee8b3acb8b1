"""Collect finished runs and result files into one file, tables in the shape of the paper's, and its Figure 1.

    python tools/analysis_tools/collect_results.py work_dirs
    python tools/analysis_tools/collect_results.py work_dirs/vtab old.csv --csv runs.csv --figures work_dirs/figures

Of data sets it prints the shape of Table I, of VTAB-1K those of Tables II (every task) and IV (the means of its groups
and of its tasks, always both), with 95 % intervals over seeds, and each method in pairs beside a reference. Scores are
those of the last epoch; --best has the best epoch instead, which was chosen on the same images. docs/results.md says
what a run leaves to be found; runs that are not finished are named.
"""

import argparse
from dataclasses import replace
from pathlib import Path

from mmsparse.cli.options import parse
from mmsparse.cli.reporting import reporting
from mmsparse.errors import InputError
from mmsparse.utils.spelling import did_you_mean


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        'inputs',
        type=Path,
        nargs='+',
        help='result files (.csv), and folders with the work folders of runs at any depth',
    )
    parser.add_argument('--best', action='store_true', help='best instead of last epoch')
    parser.add_argument('--data', nargs='+', default=[], metavar='NAME', help='these data sets only')
    parser.add_argument(
        '--reference', metavar='METHOD', help='method that the others are compared with (default: the first one)'
    )
    parser.add_argument('--csv', type=Path, help='also write a result file, one row per run')
    parser.add_argument('--markdown', type=Path, help='also write the tables as Markdown')
    parser.add_argument('--figures', type=Path, metavar='FOLDER', help='also draw scores over GFLOPs and over KiB')
    return parse(parser, lambda args: [])


if __name__ == '__main__':
    parse_args()  # --help and mistakes are answered here, before seconds of imports

from mmsparse.analysis.figures import AXES, draw_results
from mmsparse.analysis.result_tables import NOTE, by_data, by_task, in_pairs
from mmsparse.analysis.run_folders import find_runs
from mmsparse.analysis.vtab import over_tasks, task_of
from mmsparse.visualization.result_file import Result, check_protocol, described, read_results, write_results
from mmsparse.visualization.tables import Table, writable


def collect(inputs: list[Path]) -> tuple[list[Result], list[str]]:
    """Return the results in files and folders together, each once."""
    files = [path for path in inputs if path.suffix == '.csv']
    folders = [path for path in inputs if path not in files]
    runs, remarks = find_runs(folders) if folders else ([], [])
    found = {result.place: result for result in read_results(files)}
    for run in runs:
        if found.setdefault(run.place, run) != run:
            raise InputError(
                f'{described(run)}: a result file has other figures than its folder. Leave one of them out.'
            )
    return list(found.values()), remarks


def chosen(results: list[Result], args: argparse.Namespace) -> list[Result]:
    """Return the results that the options ask for."""
    known = list(dict.fromkeys(result.dataset for result in results))
    for name in args.data:
        if name not in known:
            raise InputError(f'--data: received {name!r}, expected of {", ".join(known)}.{did_you_mean(name, known)}')
    results = [result for result in results if not args.data or result.dataset in args.data]
    if args.best:
        for result in results:
            if result.best is None:
                raise InputError(f'--best: {described(result)}: its best epoch is not known. Leave out --best.')
        results = [replace(result, score=result.best) for result in results]
    methods = list(dict.fromkeys(result.method for result in results))
    if args.reference and args.reference not in methods:
        raise InputError(
            f'--reference: received {args.reference!r}, expected one of {", ".join(methods)}.'
            f'{did_you_mean(args.reference, methods)}'
        )
    return results


def tables(results: list[Result], overall: list[Result], reference: str | None) -> list[Table]:
    """Return all tables; those of one have one metric.

    Args:
        results: runs.
        overall: their means over VTAB-1K.
        reference: method that the others stand beside; None: the first one.
    """
    tasks = [result for result in results if task_of(result)]
    found, groups = [], [tasks] if tasks else []
    for metric in dict.fromkeys(result.metric for result in results):
        if some := [result for result in results if result.metric == metric and not task_of(result)]:
            groups.append(some)
            found.append(by_data(some, 'Data sets'))
    found += [by_task(tasks)] if tasks else []
    found += [by_data(overall, 'Means over VTAB-1K', average=False)] if overall else []
    for some in groups:
        methods = list(dict.fromkeys(result.method for result in some))
        if len(methods) > 1 and (reference or methods[0]) in methods:
            found.append(in_pairs(some, reference or methods[0]))
    return found


def main() -> None:
    args = parse_args()
    with reporting(lambda: 'What was written before is whole.'):
        everything, remarks = collect(args.inputs)
        if not everything:
            raise InputError(f'no finished run: {" ".join(remarks)}')
        results = chosen(everything, args)
        check_protocol(results)
        overall, incomplete = over_tasks(results)
        made = tables(results, overall, args.reference)
        text = '\n\n'.join(f'## {table.title}\n\n{table.markdown()}' for table in made) + f'\n\n{NOTE}\n'
        print(text, *remarks, *incomplete, sep='\n')
        if args.csv:
            known = {result.place for result in results}
            write_results([result for result in everything if result.place in known], args.csv)
        if args.markdown:
            writable(args.markdown).write_text(text)
        if args.figures:
            points = [result for result in results if not task_of(result)] + overall
            files = [file for cost in AXES for file in draw_results(points, cost, args.figures / f'score_over_{cost}')]
            print(f'Written: {", ".join(map(str, files))}.')


if __name__ == '__main__':
    main()
