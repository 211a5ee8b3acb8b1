"""What may stand where in a config: which registry a place asks, what is built there without a type, what its builder reads, and its numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Slot(NamedTuple):
    """One kind of place in a config.

    Attributes:
        registries: names of the variables in ``PACKAGE.registry`` that hold its types; empty: any.
        default: dotted path of what is built where there is no `type`.
        read: keys that the builder takes out before it calls the class.
        added: arguments that the builder adds; a config neither needs nor may have them.
        complete: whether the config gives all other arguments, so that a missing one is a mistake.
        numbers: by argument the kind of number that it takes, see `RANGES`.
        checked: whether its arguments are compared with the signature; what reads them is not known everywhere.
    """

    registries: tuple[str, ...] = ()
    default: str | None = None
    read: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    complete: bool = False
    numbers: Mapping[str, str] = {}
    checked: bool = True


RANGES = {  # kind of number: (words, test of what has been found to be a finite number)
    'count': ('an integer of at least 1', lambda value: isinstance(value, int) and value >= 1),
    'whole': ('an integer of at least 0', lambda value: isinstance(value, int) and value >= 0),
    'every': ('an integer of at least 1, or -1 for never', lambda value: isinstance(value, int) and (value >= 1 or value == -1)),
    'amount': ('a number of at least 0', lambda value: value >= 0),
}
SPANS = dict(T_max='count', step_size='count', total_iters='count', begin='whole', end='count', eta_min='amount')
MODEL = Slot(('MODELS', 'MODEL_WRAPPERS'), read=('checkpoint', 'pretrained'), added=('view',))
LOADER = Slot(
    default='torch.utils.data.DataLoader',
    read=('num_batch_per_epoch', 'disable_subprocess_warning'),
    numbers=dict(batch_size='count', num_workers='whole', prefetch_factor='count', num_batch_per_epoch='count'),
)
LOOP = Slot(
    ('LOOPS',),
    read=('by_epoch',),
    added=('runner', 'dataloader', 'evaluator'),
    complete=True,
    numbers=dict(max_epochs='count', max_iters='count', val_interval='count', val_begin='whole'),
)
HOOK = Slot(('HOOKS',), read=('priority',), complete=True, numbers=dict(interval='every', max_keep_ckpts='every', save_begin='whole'))
METRIC = Slot(('METRICS', 'EVALUATOR', 'EVALUATORS'))
TRANSFORM = Slot(('TRANSFORMS',), complete=True)
TOP = {  # by key of the config
    'model': MODEL,
    'tta_model': MODEL,
    'data_preprocessor': MODEL,
    'train_dataloader': LOADER,
    'val_dataloader': LOADER,
    'test_dataloader': LOADER,
    'train_pipeline': TRANSFORM,
    'test_pipeline': TRANSFORM,
    'tta_pipeline': TRANSFORM,
    'optim_wrapper': Slot(
        ('OPTIM_WRAPPERS',),
        default='mmengine.optim.OptimWrapper',
        read=('constructor', 'paramwise_cfg'),
        numbers=dict(accumulative_counts='count'),
    ),
    'param_scheduler': Slot(('PARAM_SCHEDULERS',), read=('convert_to_iter_based',), added=('optimizer',), complete=True, numbers=SPANS),
    'default_hooks': HOOK,
    'custom_hooks': HOOK,
    'val_evaluator': METRIC,
    'test_evaluator': METRIC,
    'train_cfg': LOOP,
    'val_cfg': LOOP._replace(default='mmengine.runner.ValLoop'),
    'test_cfg': LOOP._replace(default='mmengine.runner.TestLoop'),
    'log_processor': Slot(('LOG_PROCESSORS',), default='mmengine.runner.LogProcessor', numbers=dict(window_size='count')),
    'visualizer': Slot(('VISUALIZERS',), default='mmengine.visualization.Visualizer'),
    'randomness': Slot(default='mmengine.runner.Runner.set_randomness', added=('self',), complete=True, numbers=dict(seed='whole')),
}
BELOW = {  # by key anywhere below, but in a model; any other key stands for more of what it is in
    'dataset': Slot(('DATASETS',), complete=True),
    'datasets': Slot(('DATASETS',), complete=True),
    'pipeline': TRANSFORM,
    'transforms': TRANSFORM,
    'sampler': Slot(('DATA_SAMPLERS',), added=('dataset',), complete=True),
    'batch_sampler': Slot(('DATA_SAMPLERS',), added=('sampler', 'batch_size'), complete=True),
    'collate_fn': Slot(('FUNCTIONS',), added=('data_batch',)),
    'worker_init_fn': Slot(('FUNCTIONS',), added=('worker_id',)),
    'optimizer': Slot(('OPTIMIZERS',), added=('params',), complete=True, numbers=dict(lr='amount', weight_decay='amount', momentum='amount')),
    'metrics': METRIC,
    'vis_backends': Slot(('VISBACKENDS',)),
}
INIT = Slot(('WEIGHT_INITIALIZERS',))


def below(slot: Slot, key: str) -> Slot:
    """Return the slot of an entry of something that stands in a slot."""
    if slot.registries != MODEL.registries:
        return BELOW.get(key) or Slot(slot.registries, checked=False)
    # Layers (norm_cfg, act_cfg) are built by functions with keys of their own.
    return INIT if key == 'init_cfg' else MODEL._replace(checked=slot.checked and not key.endswith('_cfg'))
