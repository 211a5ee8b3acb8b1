"""mmsparse: pre-trained Vision Transformers, adapted to a task and run with fewer tokens (MMEngine)."""

import sys
import warnings

from .imports import Imports

__version__ = '0.1.0'
sys.meta_path.insert(0, Imports)
warnings.filterwarnings('ignore', 'Fail to import ``MultiScaleDeformableAttention``')  # mmcv-lite has none, and nothing here needs it


def __getattr__(name: str):
    """Give `mmsparse.load` and `mmsparse.SparseRunner` when they are asked for: importing the package alone stays cheap."""
    if name == 'load':
        from mmsparse.apis import load

        return load
    if name == 'SparseRunner':
        from mmsparse.engine.runner import SparseRunner

        return SparseRunner
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
