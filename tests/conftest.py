"""Makes `hosts` and `references` importable from every test module and keeps small tensors on one thread."""

import logging
import os
import sys
from pathlib import Path

# Hosts this small gain nothing from a second thread, and tests that start two processes share the cores. Set before torch reads it.
os.environ.setdefault('OMP_NUM_THREADS', '1')
# MMEngine's loggers outlive the test that made them, and with it the captured stream that they write to.
logging.raiseExceptions = False
sys.path.insert(0, str(Path(__file__).parent))
