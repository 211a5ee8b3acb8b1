"""Kill a run with signal 9 at random instants, go on with --resume each time, and see that it ends as the run that
nobody disturbed.

python tools/misc/kill_and_resume.py --kills 20

Every second kill falls into a save: it waits for the temporary folder that only stands while a state is written,
renamed or removed. A kill counts as survived if no complete state was lost and the next start goes on from the newest
one. Only one state is kept, the hardest case.
"""

import argparse
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from mmsparse.state.files import newest, read_resume, read_state

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / 'configs/sparse_tuning/tiny_digits.py'
SHORT = (
    'default_hooks.checkpoint.max_keep_ckpts=1',
    'train_cfg.val_interval=1',
    'train_dataloader.dataset.indices=100',
    'val_dataloader.dataset.indices=100',
)


class Run:
    """One start of tools/train.py with --resume."""

    def __init__(self, work_dir: Path, epochs: int):
        self.work_dir, self.log = work_dir, work_dir.with_suffix('.log')
        command = [sys.executable, ROOT / 'tools/train.py', CONFIG, '--work-dir', work_dir, '--resume']
        command += ['--cfg-options', f'train_cfg.max_epochs={epochs}', *SHORT]
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get('PYTHONPATH')]))
        with self.log.open('w') as log:
            self.process = subprocess.Popen(
                [*map(str, command)], stdout=log, stderr=log, env={**os.environ, 'PYTHONPATH': path}
            )

    def wait(self, reached, pause: float = 0.0005) -> bool:
        """Poll until `reached`; False if the run has ended before."""
        while not reached():
            if self.process.poll() is not None:
                return False
            time.sleep(pause)
        return True

    def trains(self) -> bool:
        return 'Epoch(' in self.log.read_text()

    def saving(self) -> bool:
        """Whether a state is being written, renamed or removed."""
        return any(name.startswith(('.epoch_', '.best_')) for name in self.names())

    def names(self) -> list[str]:
        return os.listdir(self.work_dir) if self.work_dir.exists() else []

    def epoch(self) -> int:
        """Last epoch whose state stands under its name, 0 if none."""
        return max(
            (int(match[1]) for name in self.names() if (match := re.fullmatch(r'epoch_(\d+)', name))), default=0
        )

    def kill_at_random(self, draw: random.Random, in_save: bool) -> tuple[str, int]:
        """Kill; return where it happened and the last epoch that had been complete."""
        start, ahead = self.epoch(), draw.randint(0, 1)
        if in_save:
            alive = self.wait(lambda: self.epoch() >= start + ahead and self.saving())
            time.sleep(draw.uniform(0, 0.02))
        else:
            alive = self.wait(lambda: self.epoch() >= start + ahead)
            time.sleep(draw.uniform(0, 1))
        if not alive:
            raise SystemExit(
                f'The run ended with status {self.process.returncode} before it was '
                f'killed:\n{self.log.read_text()[-3000:]}'
            )
        complete = self.epoch()
        self.process.kill()
        self.process.wait()
        left = sorted(name for name in self.names() if name.startswith('.'))
        return ', '.join(left) or 'between saves', complete

    def finish(self) -> None:
        if self.process.wait() != 0:
            raise SystemExit(f'The run ended with status {self.process.returncode}:\n{self.log.read_text()[-3000:]}')

    def resumed(self) -> int:
        """Epoch from which this start went on, 0 from the beginning."""
        found = re.search(r'resumed epoch: (\d+)', self.log.read_text())
        return int(found[1]) if found else 0


def outcome(work_dir: Path) -> dict:
    """What has to be the same, however often the run was killed."""
    state = read_state(newest(work_dir))
    known = read_resume(state)['message_hub']['runtime_info']
    best = work_dir / Path(known['best_ckpt']).name
    return dict(
        weights=state.card.sha256,
        epoch=state.card.epoch,
        best=known['best_score'],
        best_state=(best.name, read_state(best).card.sha256),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--kills', type=int, default=20)
    parser.add_argument('--seed', type=int, default=0)
    args = parser.parse_args()
    draw = random.Random(args.seed)
    epochs = 4 * args.kills + 4  # no run must end before it is killed
    with tempfile.TemporaryDirectory() as folder:
        undisturbed, killed = Path(folder, 'undisturbed'), Path(folder, 'killed')
        Run(undisturbed, epochs).finish()
        expected = outcome(undisturbed)
        survived, run = 0, Run(killed, epochs)
        for number in range(1, args.kills + 1):
            where, complete = run.kill_at_random(draw, in_save=number % 2 == 0)
            found = newest(killed, warn=lambda text: None)
            epoch = read_state(found).card.epoch if found else 0
            run = Run(killed, epochs)
            run.wait(run.trains, pause=0.1)
            survived += (fine := run.process.poll() is None and run.resumed() == epoch >= complete)
            print(
                f'{number:3}: killed {where}; epoch {complete} was complete, went on from {run.resumed()}: '
                f'{"ok" if fine else "LOST"}',
                flush=True,
            )
        run.finish()
        same = outcome(killed) == expected
    print(
        f'{survived} of {args.kills} killed runs went on; the end is {"the same as" if same else "NOT that of"} the '
        f'undisturbed run: {expected}'
    )
    sys.exit(0 if survived == args.kills and same else 1)


if __name__ == '__main__':
    main()
