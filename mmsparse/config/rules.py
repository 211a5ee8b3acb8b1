"""Entries of a config that contradict each other: each alone is right, and the run would fail late, or silently do something else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches

from mmsparse.config.slots import TOP
from mmsparse.errors import InputError

TOGETHER = (
    ('train_dataloader', 'train_cfg', 'optim_wrapper'),
    ('val_dataloader', 'val_cfg', 'val_evaluator'),
    ('test_dataloader', 'test_cfg', 'test_evaluator'),
)
# Every entry that MMEngine's runner and the tools read; others are variables of a config file.
READ = frozenset(
    [
        *TOP,
        'work_dir',
        'auto_scale_lr',
        'load_from',
        'resume',
        'launcher',
        'env_cfg',
        'log_level',
        'default_scope',
        'experiment_name',
        'cfg',
        'runner_type',
        'model_wrapper_cfg',
        'find_unused_parameters',
        'sync_bn',
        'activation_checkpointing',
        'efficient_conv_bn_eval',
        'compile',
        'custom_imports',
        'strategy',
        'own_folder',
    ]
)
MIXING = ('Mixup', 'CutMix', 'ResizeMix')
PACKED = ('mmpretrain', 'mmseg')  # scopes whose data preprocessors take what a Pack… transform makes


def check_changes(cfg: Mapping, changes: Mapping) -> None:
    """Refuse changes of entries that nobody reads: misspelt ones, and variables that the file has used already.

    Args:
        cfg: the config before the changes.
        changes: values by dotted path.

    Raises:
        InputError: names the nearest entry.
    """
    for path in changes:
        first = path.split('.')[0]
        if first in READ:
            continue
        near = get_close_matches(first, READ, n=1, cutoff=0.6)
        hint = (
            f' Did you mean {near[0] + path[len(first) :]}?' if near else ' Expected a path such as train_cfg.max_epochs or model.head.num_classes.'
        )
        why = 'only a variable of the file, which has been read by then' if first in cfg else 'an entry that the config does not have'
        raise InputError(f'--cfg-options {path}: {first} is {why}, so nothing would change.{hint}')


def check_rules(cfg: Mapping) -> None:
    """Refuse a config whose entries contradict each other.

    Raises:
        InputError: names both entries.
    """
    for key in cfg:
        near = get_close_matches(key, READ, n=1, cutoff=0.9)
        if key not in READ and near and len(key) > 7 and 'pipeline' not in key:  # a file may have variables called models and train_pipeline2
            raise InputError(f'{key}: nothing reads this entry of the config. Did you mean {near[0]!r}?')
    for names in TOGETHER:
        missing = [name for name in names if cfg.get(name) is None or cfg.get(name) == []]
        if missing and len(missing) < len(names):
            given = ', '.join(name for name in names if name not in missing)
            raise InputError(f'{given}: received without {", ".join(missing)}, expected {", ".join(names)}: all three, or none (None).')
    _by_epoch(cfg)
    _classes(cfg)
    if cfg.get('default_scope') in PACKED:
        for names in TOGETHER:
            _packs((cfg.get(names[0]) or {}).get('dataset'), f'{names[0]}.dataset')


def _by_epoch(cfg: Mapping) -> None:
    """In a loop over iterations no epoch ends, so what waits for one never acts."""
    if (cfg.get('train_cfg') or {}).get('by_epoch', True):
        return
    parts = {f'default_hooks.{key}': hook for key, hook in (cfg.get('default_hooks') or {}).items()}
    parts |= {f'param_scheduler[{index}]': part for index, part in enumerate(_listed(cfg.get('param_scheduler')))}
    for where, part in parts.items():
        waits = isinstance(part, Mapping) and part.get(
            'by_epoch', where.startswith('param_scheduler') or str(part.get('type')).endswith('CheckpointHook')
        )
        if waits and not part.get('convert_to_iter_based') and where != 'default_hooks.logger':
            raise InputError(f'{where}: received by_epoch=True, but train_cfg.by_epoch is False, and it would never act. Set {where}.by_epoch=False.')


def _classes(cfg: Mapping) -> None:
    model = cfg.get('model') or {}
    while isinstance(model.get('module'), Mapping):  # LoRAModel, test-time augmentation
        model = model['module']
    head = model.get('head') if isinstance(model.get('head'), Mapping) else {}
    where, classes = ('model.head.num_classes', head.get('num_classes')) if head else ('model.num_classes', model.get('num_classes'))
    if cfg.get('train_cfg') and str(model.get('type')).endswith('ImageClassifier') and not head:
        raise InputError(f"model.head: received {model.get('head')!r}, expected the head that trains: dict(type='LinearClsHead', num_classes=…).")
    if not isinstance(classes, int):
        return
    if classes < 1:
        raise InputError(f'{where}: received {classes}, expected the number of classes, at least 1.')
    loss = head.get('loss') if isinstance(head.get('loss'), Mapping) else {}
    weights = loss.get('class_weight')
    for what, number in (('num_classes', loss.get('num_classes')), ('class_weight', len(weights) if isinstance(weights, list | tuple) else None)):
        if number not in (None, classes):
            raise InputError(f'model.head.loss.{what}: received {number}, but {where} is {classes}. Give it for {classes} classes.')
    counted = [('model.head', head)] if head.get('cal_acc') else []
    counted += [(name, metric) for name in ('val_evaluator', 'test_evaluator') for metric in _listed(cfg.get(name))]
    for name, part in counted:
        tops = _listed(part.get('topk')) if part is head or part.get('type') in ('Accuracy', 'mmpretrain.Accuracy') else []
        if (most := max(tops, default=1)) > classes:
            raise InputError(f'{name}.topk: received {most}, but {where} is {classes}. Expected numbers of at most {classes}, such as topk=(1,).')
    preprocessor = model.get('data_preprocessor') or cfg.get('data_preprocessor') or {}
    augments = (model.get('train_cfg') or preprocessor.get('batch_augments') or {}).get('augments')
    mixing = [part['type'] for part in _listed(augments) if str(part.get('type')).removeprefix('mmpretrain.') in MIXING]
    if mixing and preprocessor.get('num_classes') != classes:
        raise InputError(
            f'data_preprocessor.num_classes: received {preprocessor.get("num_classes")}, but {where} is {classes}, and {mixing[0]} mixes labels of '
            f'that many classes. Set data_preprocessor.num_classes={classes}.'
        )


def _packs(dataset, where: str) -> None:
    for index, inner in enumerate(_listed((dataset or {}).get('datasets'))):
        _packs(inner, f'{where}.datasets[{index}]')
    if isinstance((dataset or {}).get('dataset'), Mapping):
        _packs(dataset['dataset'], f'{where}.dataset')
    elif isinstance(pipeline := (dataset or {}).get('pipeline'), Mapping) or any(isinstance(step, str) for step in pipeline or ()):
        raise InputError(f'{where}.pipeline: received {pipeline!r}, expected a list of steps: [dict(type=…), …].')
    elif isinstance(pipeline := (dataset or {}).get('pipeline'), list | tuple) and not any('Pack' in str(kind) for kind in _types(pipeline)):
        raise InputError(
            f'{where}.pipeline: received {[str(kind) for kind in _types(pipeline)]}, expected a last step that packs image and label, such as '
            "dict(type='PackInputs'), or dict(type='PackSegInputs') for segmentation."
        )


def _types(node) -> Iterator:
    """Every `type` in a nest of configs."""
    if isinstance(node, Mapping):
        yield from [node['type']] if 'type' in node else []
        node = node.values()
    if not isinstance(node, str) and hasattr(node, '__iter__'):
        for part in node:
            yield from _types(part)


def _listed(value) -> list:
    """One part, a list of them, or None, as a list."""
    return [] if value is None else list(value) if isinstance(value, list | tuple) else [value]
