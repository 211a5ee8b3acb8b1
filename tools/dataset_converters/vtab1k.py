"""Make VTAB-1K, tasks of 1,000 training pictures, from the raw sets: PNG files, lists, checksums.

    python tools/dataset_converters/vtab1k.py data/vtab-1k --raw data/vtab-raw --download
    python tools/dataset_converters/vtab1k.py data/vtab-1k --check

torchvision downloads what it knows to --raw, `datasets` (pip install datasets) fetches two sets from the hub of
Hugging Face; what has to be put there by hand is named with its place. A call that was stopped goes on where it was,
and a task that is whole is left alone. In a task's folder `sha256sum -c checksums.txt` checks the pictures, as does
--check.

The 1,000 training pictures are drawn with a fixed seed from the same parts as in the benchmark, but they are other
pictures than TFDS's first 1,000: compare with published figures on an export of TFDS, which has the same layout.
"""

import argparse
from pathlib import Path

from mmsparse.cli.options import parse
from mmsparse.cli.reporting import reporting
from mmsparse.errors import InputError, in_words


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('root', type=Path, help='folder of the tasks')
    parser.add_argument('--raw', type=Path, default=Path('data/vtab-raw'), help='folder of the raw sets')
    parser.add_argument('--tasks', nargs='+', metavar='TASK', help='some of them (default: all)')
    parser.add_argument('--download', action='store_true', help='let torchvision fetch what is missing in --raw')
    parser.add_argument('--check', action='store_true', help='make nothing: count, and compare the checksums')
    return parse(parser, lambda args: [])


if __name__ == '__main__':
    parse_args()  # --help and mistakes are answered here, before seconds of imports

from mmsparse.datasets.vtab.export import damaged, export, is_whole
from mmsparse.datasets.vtab.sources import SOURCES
from mmsparse.datasets.vtab.tasks import TASKS
from mmsparse.utils.value_checks import check_choices
from mmsparse.visualization.tables import Table, print_tables


def made(task: str, args: argparse.Namespace) -> str:
    """Make a task where it is not whole yet; return what became of it."""
    if is_whole(args.root / task):
        return 'was whole'
    source = SOURCES[task]
    remedy = f'Needed in {args.raw}: {source.by_hand or "what --download fetches"}.'
    with in_words(f'{task}: cannot be read from {args.raw}', remedy):
        parts = source.read(args.raw, args.download)
    export(parts, args.root / task, TASKS[task].classes)
    return 'made'


def checked(folder: Path) -> str:
    """Compare a task with its checksums."""
    if not is_whole(folder):
        return 'not whole'
    wrong = damaged(folder)
    return f'{len(wrong)} pictures are not what was written, such as {wrong[0]}' if wrong else 'as written'


def row(task: str, folder: Path, state: str) -> list:
    """Count the lines of a task's lists."""
    counts = [
        len(file.read_text().splitlines()) if (file := folder / f'{name}.txt').is_file() else None
        for name in ('train800val200', 'test')
    ]
    odd = is_whole(folder) and counts != [1000, TASKS[task].test]
    return [task, *counts, TASKS[task].test, state + (", not the benchmark's numbers" if odd else '')]


def main() -> None:
    args = parse_args()
    with reporting(lambda: 'What was written is kept: the same command goes on.'):
        tasks = args.tasks or list(TASKS)
        check_choices('--tasks: received', tasks, tuple(TASKS), ('svhn', 'kitti'))
        table, failed = Table(['task', 'train', 'test', 'test, benchmark', 'state'], title='VTAB-1K'), []
        for task in tasks:
            try:
                state = checked(args.root / task) if args.check else made(task, args)
                failed += [f'{task}: {state}.'] if args.check and state != 'as written' else []
            except InputError as error:  # the other tasks do not wait for this one
                failed.append(str(error))
                state = 'failed'
            table.rows.append(row(task, args.root / task, state))
            print(f'{task}: {state}', flush=True)
        print_tables(table)
        if failed:
            raise InputError(' '.join(failed))


if __name__ == '__main__':
    main()
