"""What may stand where in a config: registries of its types, what is built without a type, keys and values."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from typing import NamedTuple

from torch.nn import utils

from mmsparse.utils.value_checks import is_number, is_whole


class Slot(NamedTuple):
    """One kind of place in a config.

    Attributes:
        registries: names of the variables in ``PACKAGE.registry`` that hold its types; empty: any.
        default: dotted path of what is built where there is no `type`.
        read: keys that the builder takes out before it calls the class.
        added: arguments that the builder adds; a config neither needs nor may have them.
        complete: whether the config gives all other arguments, so that a missing one is a mistake.
        values: by argument what it may be, see `KINDS`.
        checked: whether its arguments are compared with the signature; what reads them is not known everywhere.
        built: what is expected where a plain value would be passed over or fail late; empty: it may stand there.
        keys: all that is read there, where no class is built; empty: a class says so.
        types: what a `type` means that no registry holds.
        inner: slot of each entry of a dictionary without `type`, whose keys are names of the user's.
    """

    registries: tuple[str, ...] = ()
    default: str | None = None
    read: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    complete: bool = False
    values: Mapping[str, str] = {}
    checked: bool = True
    built: str = ''
    keys: tuple[str, ...] = ()
    types: Mapping[str, object] = {}
    inner: Slot | None = None


LEVELS = ('CRITICAL', 'FATAL', 'ERROR', 'WARN', 'WARNING', 'INFO', 'DEBUG', 'NOTSET')
KINDS = {  # what a value may be: (a test, words for what fails it)
    'count': (lambda value: is_whole(value) and value >= 1, 'received {!r}, expected an integer of at least 1'),
    'whole': (lambda value: is_whole(value) and value >= 0, 'received {!r}, expected an integer of at least 0'),
    'every': (
        lambda value: is_whole(value) and (value >= 1 or value == -1),
        'received {!r}, expected an integer of at least 1, or -1 for never',
    ),
    'amount': (lambda value: is_number(value) and value >= 0, 'received {!r}, expected a number of at least 0'),
    'limit': (
        lambda value: is_number(value) and value > 0,
        'received the limit {!r}, expected a number above 0. Leave clip_grad out for no limit',
    ),
    'divisors': (
        lambda value: not isinstance(value, list | tuple) or all(is_number(each) and each > 0 for each in value),
        'received {!r}, expected numbers above 0: pixels are divided by them',
    ),
    'level': (
        lambda value: not isinstance(value, str) or value in LEVELS,
        f'received {{!r}}, expected one of: {", ".join(LEVELS)}',
    ),
    'folder': (lambda value: isinstance(value, str | PathLike), 'received {!r}, expected the path of a folder'),
    'flag': (lambda value: isinstance(value, bool), 'received {!r}, expected True or False'),
    'resume': (
        lambda value: isinstance(value, bool),
        'received {!r}, expected True or False. To go on from a state set load_from=STATE resume=True',
    ),
    'list': (lambda value: not isinstance(value, Mapping), 'received {!r}, expected a list of hooks: [dict(type=…)]'),
}
# Of the config itself.
PLAIN = dict(work_dir='folder', log_level='level', resume='resume', new_head='flag', custom_hooks='list')
SPANS = dict(T_max='count', step_size='count', total_iters='count', begin='whole', end='count', eta_min='amount')
TYPED = 'dict(type=…)'
MODEL = Slot(
    ('MODELS', 'MODEL_WRAPPERS'),
    read=('checkpoint', 'pretrained'),
    added=('view',),
    values=dict(std='divisors'),
    built=TYPED,
)
LOADER = Slot(
    default='torch.utils.data.DataLoader',
    read=('num_batch_per_epoch', 'disable_subprocess_warning'),
    values=dict(batch_size='count', num_workers='whole', prefetch_factor='count', num_batch_per_epoch='count'),
)
LOOP = Slot(
    ('LOOPS',),
    read=('by_epoch',),
    added=('runner', 'dataloader', 'evaluator'),
    complete=True,
    values=dict(max_epochs='count', max_iters='count', val_interval='count', val_begin='whole'),
    built='dict(by_epoch=True, max_epochs=…)',
)
HOOK = Slot(
    ('HOOKS',),
    read=('priority',),
    complete=True,
    values=dict(interval='every', max_keep_ckpts='every', save_begin='whole'),
    built=f'{TYPED}, a hook. Change one by default_hooks.NAME.ARGUMENT',
)
METRIC = Slot(('METRICS', 'EVALUATOR', 'EVALUATORS'))
TRANSFORM = Slot(('TRANSFORMS',), complete=True)
SCHEDULE = Slot(
    ('PARAM_SCHEDULERS',),
    read=('convert_to_iter_based',),
    added=('optimizer',),
    complete=True,
    values=SPANS,
    built=TYPED,
)
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
        values=dict(accumulative_counts='count'),
    ),
    'param_scheduler': SCHEDULE._replace(inner=SCHEDULE),
    'default_hooks': HOOK._replace(inner=HOOK),
    'custom_hooks': HOOK,
    'val_evaluator': METRIC,
    'test_evaluator': METRIC,
    'train_cfg': LOOP,
    'val_cfg': LOOP._replace(default='mmengine.runner.ValLoop'),
    'test_cfg': LOOP._replace(default='mmengine.runner.TestLoop'),
    'log_processor': Slot(
        ('LOG_PROCESSORS',), default='mmengine.runner.LogProcessor', values=dict(window_size='count')
    ),
    'visualizer': Slot(('VISUALIZERS',), default='mmengine.visualization.Visualizer'),
    'randomness': Slot(
        default='mmengine.runner.Runner.set_randomness', added=('self',), complete=True, values=dict(seed='whole')
    ),
    'env_cfg': Slot(keys=('cudnn_benchmark', 'mp_cfg', 'dist_cfg', 'resource_limit')),
    'auto_scale_lr': Slot(keys=('enable', 'base_batch_size')),
}
BELOW = {  # by key anywhere below, but in a model; any other key stands for more of what it is in
    'dataset': Slot(('DATASETS',), complete=True, built=TYPED),
    'datasets': Slot(('DATASETS',), complete=True),
    'pipeline': TRANSFORM,
    'transforms': TRANSFORM,
    'sampler': Slot(('DATA_SAMPLERS',), added=('dataset',), complete=True, built=TYPED),
    'batch_sampler': Slot(('DATA_SAMPLERS',), added=('sampler', 'batch_size'), complete=True),
    'collate_fn': Slot(('FUNCTIONS',), added=('data_batch',)),
    'worker_init_fn': Slot(('FUNCTIONS',), added=('worker_id',)),
    'optimizer': Slot(
        ('OPTIMIZERS',),
        added=('params',),
        complete=True,
        values=dict(lr='amount', weight_decay='amount', momentum='amount'),
        built=TYPED,
    ),
    'metrics': METRIC,
    'vis_backends': Slot(('VISBACKENDS',)),
    'mp_cfg': Slot(keys=('mp_start_method', 'opencv_num_threads')),
    'paramwise_cfg': Slot(
        keys=(
            *('bias_lr_mult', 'bias_decay_mult', 'norm_decay_mult', 'flat_decay_mult', 'dwconv_decay_mult'),
            *('dcn_offset_lr_mult', 'bypass_duplicate', 'custom_keys'),
            *('layer_decay_rate', 'decay_rate', 'decay_type', 'num_layers'),  # of mmpretrain and mmseg
        ),
    ),
    'custom_keys': Slot(inner=Slot(keys=('lr_mult', 'decay_mult'))),
    'clip_grad': Slot(
        types={'norm': utils.clip_grad_norm_, 'value': utils.clip_grad_value_},
        default='torch.nn.utils.clip_grad_norm_',
        added=('parameters',),
        complete=True,
        values=dict(max_norm='limit', clip_value='limit'),
        built="dict(max_norm=1.0), or dict(type='value', clip_value=1.0)",
    ),
}
INIT = Slot(('WEIGHT_INITIALIZERS',))
# Of models: a word there would be taken for something else.
PARTS = ('backbone', 'head', 'decode_head', 'host', 'adapter', 'sparsifier', 'loss')


def below(slot: Slot, key: str) -> Slot:
    """Return the slot of an entry of something that stands in a slot."""
    if slot.registries != MODEL.registries:
        return BELOW.get(key) or Slot(slot.registries, checked=False)
    # Layers (norm_cfg, act_cfg) are built by functions with keys of their own.
    return (
        INIT
        if key == 'init_cfg'
        else MODEL._replace(checked=slot.checked and not key.endswith('_cfg'), built=TYPED if key in PARTS else '')
    )
