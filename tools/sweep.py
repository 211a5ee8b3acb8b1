"""Train what a sweep file lists, configs × options × seeds, on several workers; go on where it was stopped.

python tools/sweep.py configs/sweeps/tiny_digits.yml --workers 2

Each run is tools/train.py with its config, options and seed. Workers are processes here, or with --cluster jobs that
submitit hands to Slurm. Started again, it trains what is missing: a run whose worker was killed goes on from its last
state, a finished one is left alone. docs/sweeps.md tells more.
"""

import argparse
import signal
import sys
from pathlib import Path

from mmsparse.analysis.sweeps.sweep_file import read_sweep
from mmsparse.cli.options import Changes, changes, parse
from mmsparse.cli.reporting import reporting


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('sweep', type=Path, help='the sweep file')
    parser.add_argument('--workers', type=int, default=1, metavar='N', help='runs at a time (default: 1)')
    parser.add_argument(
        '--work-dir', type=Path, help='where runs and their queue go (default: work_dirs/sweeps/NAME_OF_SWEEP)'
    )
    parser.add_argument(
        '--cluster',
        choices=('slurm', 'local'),
        help="workers as jobs of submitit: Slurm's, or processes of this machine",
    )
    parser.add_argument(
        '--job',
        nargs='+',
        action=Changes,
        default={},
        metavar='KEY=VALUE',
        help='for --cluster, in the words of submitit: timeout_min=600 gpus_per_node=1 slurm_partition=gpu',
    )
    parser.add_argument('--status', action='store_true', help='show what has been reached, and train nothing')
    parser.add_argument('--as-worker', action='store_true', help='used by this tool: train what is in the queue')
    args = parse(parser, lambda args: [])
    args.work_dir = args.work_dir or Path('work_dirs/sweeps', args.sweep.stem)
    with reporting(lambda: 'Nothing was begun.'):
        args.read = read_sweep(args.sweep)
        if args.workers < 1:
            parser.error(f'--workers: received {args.workers}, expected 1 or more.')
        if args.job and not args.cluster:
            parser.error('--job: received without --cluster, whose jobs it describes.')
    return args


def go_on() -> str:
    return 'Finished runs and states stay; the same command goes on.'


if __name__ == '__main__':
    args = parse_args()  # --help and mistakes are answered here, before seconds of imports
    if args.as_worker:
        from mmsparse.analysis.sweeps.worker import work

        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # its training is ended with it
        with reporting(go_on):
            work(args.sweep, args.work_dir)
        sys.exit()

from mmsparse.analysis.sweeps.jobs import start_here, submit
from mmsparse.analysis.sweeps.outcome import table
from mmsparse.analysis.sweeps.queue import Queue
from mmsparse.analysis.sweeps.recipes import recipes
from mmsparse.visualization.tables import print_tables


def main() -> None:
    args = parse_args()
    with reporting(go_on):
        queue = Queue(args.read, args.work_dir)
        if not args.status:
            states = queue.fill(recipes(args.read, changes, settle=args.cluster != 'slurm'))
            print(f'{args.sweep}: {states["COMPLETE"]} of {states.total()} finished, in {args.work_dir}', flush=True)
            if args.cluster == 'slurm':
                submit('slurm', args.workers, args.job, args.sweep, args.work_dir)
                print('Look at it with --status.')
                return
            train(args, min(args.workers, states['WAITING']))
        if report(queue) and not args.status:
            sys.exit(1)


def train(args: argparse.Namespace, workers: int) -> None:
    if args.cluster:
        for job in submit(args.cluster, workers, args.job, args.sweep, args.work_dir) if workers else ():
            job.wait()
            if error := job.exception():
                print(f'Job {job.job_id} ended early: {str(error).strip().splitlines()[-1]}', flush=True)
    else:
        words = [sys.executable, __file__, str(args.sweep), '--work-dir', str(args.work_dir), '--as-worker']
        start_here(workers, words)


def report(queue: Queue) -> bool:
    """Print what has been reached; return whether something is missing."""
    result, remarks = table(queue)
    print_tables(result)
    for remark in remarks:
        print(remark)
    return bool(remarks)


if __name__ == '__main__':
    main()
