"""Makes the project, its helpers and those of the main suite importable, and keeps small tensors on one thread."""

import logging
import os
import sys
from pathlib import Path

os.environ.setdefault('OMP_NUM_THREADS', '1')
logging.raiseExceptions = False  # MMEngine's loggers outlive the test that made them
ROOT = Path(__file__).parents[3]
for folder in (ROOT, ROOT / 'tests', Path(__file__).parent):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
