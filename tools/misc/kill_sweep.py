"""Kill a sweep with signal 9, first a worker and then everything, start it again, and see that it ends as the sweep
that nobody disturbed, and that no run was repeated.

python tools/misc/kill_sweep.py [--cluster local]

Three methods × three seeds, three epochs on forty digits, on two workers. With --cluster they are submitit's jobs.
"""

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from mmsparse.analysis.sweeps.scores import scores

ROOT = Path(__file__).parents[2]
EPOCHS = 3
SWEEP = f"""
configs: [mmsparse::peft/tiny_lora_digits.py, mmsparse::peft/tiny_ssf_digits.py, mmsparse::peft/tiny_adapter_digits.py]
seeds: [0, 1, 2]
options:
  train_cfg.max_epochs: {EPOCHS}
  train_cfg.val_interval: 1
  train_dataloader.dataset.indices: 40
  train_dataloader.batch_size: 10
  val_dataloader.dataset.indices: 100
"""
WORKERS = ('--as-worker', 'submitit.core._submit')


class Sweep:
    """A sweep in a folder, each start of it a group of processes."""

    def __init__(self, file: Path, folder: Path, options: list[str]):
        self.file, self.folder, self.options = file, folder, options

    def start(self) -> subprocess.Popen:
        command = [sys.executable, ROOT / 'tools/sweep.py', self.file, '--work-dir', self.folder, '--workers', '2']
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get('PYTHONPATH')]))
        env = {**os.environ, 'PYTHONPATH': path}
        return subprocess.Popen([*map(str, command), *self.options], env=env, start_new_session=True)

    def results(self) -> dict[str, dict[int, float]]:
        """Return the scores by epoch of each run that has any."""
        runs = {log.parents[2] for log in self.folder.glob('*/seed_*/*/vis_data/scalars.json')}
        found = {str(run.relative_to(self.folder)): scores(run, 'accuracy/top1') for run in runs}
        return {name: by_epoch for name, by_epoch in sorted(found.items()) if by_epoch}

    def finished(self) -> set[str]:
        return {name for name, by_epoch in self.results().items() if EPOCHS in by_epoch}

    def starts(self) -> dict[str, int]:
        """Return how often each run was started."""
        return {
            str(log.parent.relative_to(self.folder)): len(list(log.parent.glob('*/vis_data')))
            for log in self.folder.glob('*/seed_*/console.log')
        }

    def trained(self) -> dict[str, list[int]]:
        """Return the epochs that were trained in each run, those twice that were trained twice."""
        return {
            str(log.parent.relative_to(self.folder)): sorted(
                int(epoch) for epoch in re.findall(r'Epoch\(train\)\s+\[(\d+)\]\[\s*4/4\]', text)
            )
            for log in self.folder.glob('*/seed_*/console.log')
            if (text := '\n'.join(file.read_text() for file in log.parent.glob('*/*.log')))
        }


def workers(group: int) -> list[int]:
    """Return the process numbers of the workers in a group of processes."""
    found = []
    for place in Path('/proc').glob('[0-9]*'):
        try:
            if os.getpgid(int(place.name)) == group and any(
                word in (place / 'cmdline').read_text() for word in WORKERS
            ):
                found.append(int(place.name))
        except OSError:  # it has just ended
            continue
    return found


def wait(process: subprocess.Popen, reached) -> None:
    while not reached():
        if process.poll() is not None:
            raise SystemExit('The sweep ended before it was killed.')
        time.sleep(0.2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--cluster', choices=('local',), help='workers as jobs of submitit on this machine')
    args = parser.parse_args()
    options = ['--cluster', args.cluster] if args.cluster else []
    with tempfile.TemporaryDirectory() as place:
        file = Path(place, 'killed.yml')
        file.write_text(SWEEP)
        undisturbed, killed = (Sweep(file, Path(place, name), options) for name in ('undisturbed', 'killed'))
        undisturbed.start().wait()

        process = killed.start()
        wait(process, lambda: len(killed.finished()) >= 2 and len(killed.starts()) > len(killed.finished()))
        os.kill(workers(process.pid)[0], signal.SIGKILL)
        print('Killed a worker; its training goes on until it ends.', flush=True)
        wait(process, lambda: len(killed.finished()) >= 4 and len(killed.results()) > len(killed.finished()))
        before, begun = killed.finished(), killed.starts()
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        print(f'Killed everything: {len(before)} runs finished, {len(begun)} begun.', flush=True)
        killed.start().wait()

        same = killed.results() == undisturbed.results() and len(killed.finished()) == 9
        again = [name for name, count in killed.starts().items() if name in before and count > 1]
        twice = {name: epochs for name, epochs in killed.trained().items() if epochs != sorted(set(epochs))}
    print(f'{len(killed_names := sorted(before))} runs were finished before the last kill: {", ".join(killed_names)}')
    print(f'of these started again: {again or "none"}; epochs trained twice: {twice or "none"}')
    print(f'scores of all epochs of 9 runs: {"the same as" if same else "NOT those of"} the undisturbed sweep')
    sys.exit(0 if same and not again else 1)


if __name__ == '__main__':
    main()
