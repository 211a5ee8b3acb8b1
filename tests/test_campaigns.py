"""Campaigns of faults count what they should, a small share of each passes, and a deliberate fault makes one fail."""

import os
import subprocess
import sys

import pytest

from mmsparse.analysis.campaigns.campaign import Campaign, must, run
from small_run import ROOT

TOOL = ROOT / 'tools/misc/fault_injection.py'
UNSEEDED = f"""
import runpy, sys
from mmsparse.engine.hooks.epoch_seed import EpochSeedHook
EpochSeedHook.before_train_iter = lambda *args, **kwargs: None
sys.argv = ['fault_injection.py', 'stops', '--trials', '1']
runpy.run_path({str(TOOL)!r}, run_name='__main__')
"""


def injected(*args) -> subprocess.CompletedProcess:
    """In a process of its own: this one may have threads, which no fork survives."""
    env = {**os.environ, 'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1', 'CUDA_VISIBLE_DEVICES': ''}
    return subprocess.run([sys.executable, *map(str, args)], env=env, capture_output=True, text=True)


def test_what_fails_is_counted_with_its_reason_and_ends_nothing():
    def prepare(folder, trials):
        folder.joinpath('shared').touch()

        def trial(number, draw):
            must(folder.joinpath('shared').exists() and number != 1, 'lost')
            if number == 2:
                raise OSError('no disk')
            drawn.append(draw.random())
            return 'kind'

        return trial

    drawn, said = [], []
    counts = run(Campaign('name', 'shows', 5, prepare), 5, 0, said.append)
    assert (counts.trials, counts.passed, counts.kinds) == (5, 3, {'kind': 3})
    assert said[0].startswith('name 1: AssertionError: lost') and said[1].startswith('name 2: OSError: no disk')
    assert '3 of    5 passed' in counts.line()
    first = list(drawn)
    run(Campaign('name', 'shows', 5, prepare), 1, 0, said.append)
    assert drawn[len(first) :] == first[:1]


@pytest.mark.slow
def test_a_share_of_each_campaign_passes():
    """Without `stops`, of which the next test has a share, and broken disks where nobody may mount one."""
    names = ['asks', 'numbers', 'ranks', 'pictures', 'files', 'kills', *['disks'] * (os.geteuid() == 0)]
    done = injected(TOOL, *names, '--trials', '2')
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    assert done.stdout.count('2 of    2 passed') == len(names)


@pytest.mark.slow
@pytest.mark.parametrize('seeded', [True, False])
def test_a_campaign_finds_a_run_that_draws_anew_after_it_went_on(seeded):
    done = injected(*[TOOL, 'stops', '--trials', '1'] if seeded else ['-c', UNSEEDED])
    assert done.returncode == 1 - seeded, done.stdout + done.stderr[-2000:]
    assert f'stops         {int(seeded)} of    1 passed' in done.stdout and ('weights: ' in done.stdout) is not seeded
