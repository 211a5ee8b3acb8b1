"""Print the runs on VTAB-1K below a folder as Table II does: a row per method, nineteen tasks, and every mean.

python tools/analysis_tools/vtab_table.py work_dirs/vtab

Figures are those of the last epoch, averaged over seeds; --best has the best epoch instead, which is chosen on the
test data. The means of the three groups, their own mean and the plain mean over tasks are printed, always all of them.
"""

import argparse
from dataclasses import astuple, fields
from pathlib import Path

from mmsparse.cli.options import parse
from mmsparse.cli.reporting import reporting


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('runs', type=Path, help='folder with the work folders of the runs, at any depth')
    parser.add_argument('--best', action='store_true', help='best instead of last epoch')
    parser.add_argument('--markdown', type=Path, help='also write the table as Markdown')
    parser.add_argument('--csv', type=Path, help='also write one row per run')
    return parse(parser, lambda args: [])


if __name__ == '__main__':
    parse_args()  # --help and mistakes are answered here, before seconds of imports

from mmsparse.analysis.vtab import Run, find_runs, table
from mmsparse.visualization.tables import Table, writable


def main() -> None:
    args = parse_args()
    with reporting(lambda: 'Nothing was written.'):
        runs, remarks = find_runs(args.runs)
        result = table(runs, 'best' if args.best else 'last')
        print(result.markdown())  # 26 columns fit no terminal
        for remark in remarks:
            print(remark)
        if args.markdown:
            writable(args.markdown).write_text(f'{result.markdown()}\n')
        if args.csv:
            Table([field.name for field in fields(Run)], list(map(astuple, runs))).write_csv(args.csv)


if __name__ == '__main__':
    main()
