"""Child registries of MMEngine's. A config reaches them by the prefix: ``type='mmsparse.SparseViT'``."""

from mmengine.registry import DATASETS as MMENGINE_DATASETS
from mmengine.registry import HOOKS as MMENGINE_HOOKS
from mmengine.registry import LOOPS as MMENGINE_LOOPS
from mmengine.registry import METRICS as MMENGINE_METRICS
from mmengine.registry import MODELS as MMENGINE_MODELS
from mmengine.registry import OPTIM_WRAPPERS as MMENGINE_OPTIM_WRAPPERS
from mmengine.registry import PARAM_SCHEDULERS as MMENGINE_PARAM_SCHEDULERS
from mmengine.registry import RUNNERS as MMENGINE_RUNNERS
from mmengine.registry import TRANSFORMS as MMENGINE_TRANSFORMS
from mmengine.registry import DefaultScope, Registry

from mmsparse.errors import InputError
from mmsparse.utils.hints import check_arguments, find_type
from mmsparse.utils.imports import import_all, register_segmentation

# Called as refuse(target, cfg, scope, where) before a build; what needs a class of models adds itself from there
REFUSALS = []


class ChildRegistry(Registry):
    """Imports every module of its package, and looks for a name without mmseg first: importing it would cost every
    other run two seconds.
    """

    def import_from_location(self) -> None:
        """Import what is in the package of the registry, once."""
        if not self._imported:
            for package in self._locations:
                import_all(package)
        super().import_from_location()

    def get(self, key: str):
        """Return what is registered under a name, or None."""
        found = super().get(key)
        return super().get(key) if found is None and register_segmentation() else found


def _build(cfg, default_args=None, *, registry: Registry):
    """What the parent registry builds, with words for a misspelt type or argument instead of a KeyError or
    TypeError.
    """
    if not isinstance(cfg, list):  # a list is MMEngine's Sequential
        if not isinstance(cfg, dict) or 'type' not in cfg:
            raise InputError(
                f"{registry.name}: received {cfg!r}, expected a dict with a 'type', e.g. dict(type='mmsparse.…')."
            )
        target = cfg['type'] if not isinstance(cfg['type'], str) else registry.get(cfg['type'])
        current = DefaultScope.get_current_instance()
        scope = cfg.get('_scope_') or (current.scope_name if current else registry.scope)
        if target is None:  # only now gather every name there is: that imports all packages
            target = find_type(cfg['type'], scope, where=registry.name)
        check_arguments(
            target,
            {**(default_args or {}), **cfg},
            where=registry.name,
            read=('priority', 'constructor', 'paramwise_cfg', 'checkpoint'),
        )
        registry.import_from_location()
        for refuse in REFUSALS:
            refuse(target, cfg, scope, registry.name)
    return registry.parent.build_func(cfg, registry=registry, default_args=default_args)


def _child(parent: Registry, *locations: str) -> Registry:
    return ChildRegistry(parent.name, build_func=_build, parent=parent, scope='mmsparse', locations=list(locations))


# With the models comes what lets MMEngine's `load_checkpoint` read their states.
MODELS = _child(MMENGINE_MODELS, 'mmsparse.models', 'mmsparse.state.mmengine_checkpoint')
DATASETS = _child(MMENGINE_DATASETS, 'mmsparse.datasets')
TRANSFORMS = _child(MMENGINE_TRANSFORMS, 'mmsparse.datasets')
HOOKS = _child(MMENGINE_HOOKS, 'mmsparse.engine')
LOOPS = _child(MMENGINE_LOOPS, 'mmsparse.engine')
METRICS = _child(MMENGINE_METRICS, 'mmsparse.evaluation.report_mean')
OPTIM_WRAPPERS = _child(MMENGINE_OPTIM_WRAPPERS, 'mmsparse.engine')
PARAM_SCHEDULERS = _child(MMENGINE_PARAM_SCHEDULERS, 'mmsparse.engine')
RUNNERS = ChildRegistry(
    MMENGINE_RUNNERS.name, parent=MMENGINE_RUNNERS, scope='mmsparse', locations=['mmsparse.engine']
)
