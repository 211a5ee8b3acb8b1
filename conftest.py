"""For the tests of the package and of the projects: makes what they share in tests/ importable and keeps small tensors
on one thread.
"""

import logging
import os
import sys
from pathlib import Path

import pytest

# Hosts this small gain nothing from a second thread, and tests that start two processes share the cores. Set before
# torch reads it.
os.environ.setdefault('OMP_NUM_THREADS', '1')
# MMEngine's loggers outlive the test that made them, and with it the captured stream that they write to.
logging.raiseExceptions = False
# Not the root: `make oldest` tests the package as it was installed.
sys.path.insert(0, str(Path(__file__).parent / 'tests'))


@pytest.fixture(autouse=True, scope='module')
def own_default_scope():
    """MMEngine keeps the scope of the last runner for the whole process; the next module shall not build its models in
    mmseg's.
    """
    from mmengine.registry import DefaultScope

    before = dict(DefaultScope._instance_dict)
    yield
    DefaultScope._instance_dict.clear()
    DefaultScope._instance_dict.update(before)
