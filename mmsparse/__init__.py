"""mmsparse: pre-trained Vision Transformers, adapted to a task and run with fewer tokens (MMEngine)."""

import sys
import warnings
from importlib import import_module

from mmsparse.utils.imports import CONFIGS, Imports
from mmsparse.utils.packaged import open_to

__version__ = '0.1.0'
# Imported when they are asked for: importing the package alone stays cheap.
_PUBLIC = {'load': 'mmsparse.apis', 'SparseRunner': 'mmsparse.engine.runner'}
__all__ = ['__version__', *_PUBLIC]
sys.meta_path.insert(0, Imports)
# mmcv-lite has none, and nothing here needs it
warnings.filterwarnings('ignore', 'Fail to import ``MultiScaleDeformableAttention``')
if CONFIGS in sys.modules:
    open_to(sys.modules[CONFIGS])


def __getattr__(name: str):
    if name in _PUBLIC:
        import_module('mmsparse.utils.dependencies').check_installed()
        return getattr(import_module(_PUBLIC[name]), name)
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')


def __dir__() -> list[str]:
    return sorted({*globals(), *_PUBLIC})
