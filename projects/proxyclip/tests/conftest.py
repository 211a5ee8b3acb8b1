"""Makes the project and what its tests share importable."""

import sys
from pathlib import Path

for folder in (Path(__file__).parents[3], Path(__file__).parent):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
