"""How packages of the ecosystem are imported: without what no config asks for, and without their remarks."""

import pkgutil
import sys
from contextlib import redirect_stdout
from importlib import import_module
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from io import StringIO

from mmsparse.utils.moved import moved
from mmsparse.utils.packaged import open_to

CONFIGS = 'mmengine.config.config'
OPTIMIZERS = 'mmengine.optim.optimizer.builder'
TALKATIVE = ('mmpretrain.datasets', 'mmseg.datasets')  # print that they miss a package of their publisher
SEGMENTATION = ['mmsparse.models.segmentors', 'mmsparse.datasets.segmentation']  # packages still to be imported


def import_all(package: str) -> None:
    """Import every module below a package, so that its classes register themselves; what rests on mmseg comes later.

    Args:
        package: dotted name, e.g. ``__name__`` in an ``__init__.py``.
    """
    for module in pkgutil.iter_modules(getattr(import_module(package), '__path__', ()), package + '.'):
        if module.name not in SEGMENTATION:
            import_all(module.name)


def register_segmentation() -> bool:
    """Import what rests on mmseg, once; tell whether there was something to import."""
    new = bool(SEGMENTATION)
    while SEGMENTATION:
        import_all(SEGMENTATION.pop())
    return new


def adafactor(params, **settings):
    """Return transformers' Adafactor with its arguments."""
    from transformers import Adafactor

    return Adafactor(params, **settings)


class Imports:
    """What Python asks for every module that is not loaded yet, before its own finders."""

    @classmethod
    def find_spec(cls, name: str, path=None, target=None) -> ModuleSpec | None:
        """Quieten two packages; let MMEngine's optimisers go on without transformers, as if it were not installed.

        They import it for Adafactor alone, and it takes five seconds; `adafactor` does so when a config names it.
        """
        if name.startswith('mmsparse.'):
            return moved(name)
        if name == CONFIGS and (spec := PathFinder.find_spec(name, path)) is not None:
            spec.loader = Opened(name, spec.origin)
            return spec
        if name in TALKATIVE and (spec := PathFinder.find_spec(name, path)) is not None:
            spec.loader = Quiet(name, spec.origin)
            return spec
        builder = sys.modules.get(OPTIMIZERS)
        # it is being executed
        if name == 'transformers' and builder is not None and not hasattr(builder, 'TRANSFORMERS_OPTIMIZERS'):
            if PathFinder.find_spec(name) is not None:
                builder.OPTIMIZERS.register_module(name='Adafactor', module=adafactor)
            raise ModuleNotFoundError(name)
        return None


class Opened(SourceFileLoader):
    """Executes MMEngine's module of configs and lets them inherit ours."""

    def exec_module(self, module) -> None:
        """Execute it."""
        super().exec_module(module)
        open_to(module)


class Quiet(SourceFileLoader):
    """Executes a module and drops what it prints."""

    def exec_module(self, module) -> None:
        """Execute it."""
        with redirect_stdout(StringIO()):
            super().exec_module(module)
