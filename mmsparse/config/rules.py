"""Entries of a config that contradict each other: the run would fail late, or silently do something else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mmsparse.config.slots import PLAIN, TOP
from mmsparse.errors import InputError
from mmsparse.utils.spelling import did_you_mean

TOGETHER = (
    ('train_dataloader', 'train_cfg', 'optim_wrapper'),
    ('val_dataloader', 'val_cfg', 'val_evaluator'),
    ('test_dataloader', 'test_cfg', 'test_evaluator'),
)
# Every entry that MMEngine's runner and the tools read; others are variables of a config file.
READ = (
    TOP.keys()
    | PLAIN.keys()
    | {
        *(
            'load_from',
            'launcher',
            'default_scope',
            'experiment_name',
            'cfg',
            'runner_type',
            'model_wrapper_cfg',
            'custom_imports',
            'own_folder',
            'task',
        ),
        *(
            'find_unused_parameters',
            'sync_bn',
            'activation_checkpointing',
            'efficient_conv_bn_eval',
            'compile',
            'strategy',
        ),
    }
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
        first, dot, rest = path.partition('.')
        if first in READ:
            continue
        hint = did_you_mean(first, READ, most=1, write=f'{{}}{dot}{rest}'.format)
        hint = hint or ' Expected a path such as train_cfg.max_epochs or model.head.num_classes.'
        why = (
            'only a variable of the file, which has been read by then'
            if first in cfg
            else 'an entry that the config does not have'
        )
        raise InputError(f'--cfg-options {path}: {first} is {why}, so nothing would change.{hint}')


def contradictions(cfg: Mapping) -> Iterator[str]:
    """Say which entries of a config contradict each other, one sentence each, which names both."""
    for key in cfg:
        hint = did_you_mean(key, READ, most=1, cutoff=0.9, write=repr)
        # a file may have variables called models and train_pipeline2
        if key not in READ and hint and len(key) > 7 and 'pipeline' not in key:
            yield f'{key}: nothing reads this entry of the config.{hint}'
    wrapper, scale = cfg.get('optim_wrapper'), cfg.get('auto_scale_lr') or {}
    if isinstance(wrapper, Mapping) and 'optimizer' not in wrapper and 'constructor' not in wrapper:
        given = ', '.join(wrapper) or 'nothing'
        yield f"optim_wrapper: received {given}, expected optimizer=dict(type='AdamW', lr=…)."
    if scale.get('enable') and not isinstance(scale.get('base_batch_size'), int):
        yield (
            'auto_scale_lr: received no base_batch_size, expected auto_scale_lr=dict(base_batch_size=N), the batch '
            'the rate was set for.'
        )
    for names in TOGETHER:
        missing = [name for name in names if cfg.get(name) is None or cfg.get(name) == []]
        if missing and len(missing) < len(names):
            given = ', '.join(name for name in names if name not in missing)
            yield (
                f'{given}: received without {", ".join(missing)}, expected {", ".join(names)}: all three, or none '
                '(None).'
            )
        if isinstance(loader := cfg.get(names[0]), Mapping):
            yield from _loader(loader, names[0], cfg.get('default_scope') in PACKED)
    yield from _by_epoch(cfg)
    model = cfg.get('model') or {}
    while isinstance(model.get('module'), Mapping):  # LoRAModel, test-time augmentation
        model = model['module']
    preprocessor = model.get('data_preprocessor') or cfg.get('data_preprocessor') or {}
    yield from _classes(cfg, model, preprocessor)
    yield from _channels(model, preprocessor)


def _loader(loader: Mapping, where: str, packed: bool) -> Iterator[str]:
    if loader.get('dataset') is None:
        yield f'{where}: received no dataset, expected dataset=dict(type=…, data_root=…).'
    if loader.get('prefetch_factor') and not loader.get('num_workers'):
        yield (
            f'{where}.prefetch_factor: received {loader["prefetch_factor"]} without workers. Set num_workers, or '
            'leave it out.'
        )
    if packed:
        yield from _packs(loader.get('dataset'), f'{where}.dataset')


def _by_epoch(cfg: Mapping) -> Iterator[str]:
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
            yield (
                f'{where}: received by_epoch=True, but train_cfg.by_epoch is False, and it would never act. Set '
                f'{where}.by_epoch=False.'
            )


def _classes(cfg: Mapping, model: Mapping, preprocessor: Mapping) -> Iterator[str]:
    head = model.get('head') if isinstance(model.get('head'), Mapping) else {}
    where, classes = (
        ('model.head.num_classes', head.get('num_classes'))
        if head
        else ('model.num_classes', model.get('num_classes'))
    )
    if cfg.get('train_cfg') and str(model.get('type')).endswith('ImageClassifier') and not head:
        yield (
            f"model.head: received {model.get('head')!r}, expected the head that trains: dict(type='LinearClsHead', "
            'num_classes=…).'
        )
    if not isinstance(classes, int):
        return
    if classes < 1:
        yield f'{where}: received {classes}, expected the number of classes, at least 1.'
    loss = head.get('loss') if isinstance(head.get('loss'), Mapping) else {}
    weights = loss.get('class_weight')
    for what, number in (
        ('num_classes', loss.get('num_classes')),
        ('class_weight', len(weights) if isinstance(weights, list | tuple) else None),
    ):
        if number not in (None, classes):
            told = f'received {number}, but {where} is {classes}. Give it for {classes} classes.'
            yield f'model.head.loss.{what}: {told}'
    counted = [('model.head', head)] if head.get('cal_acc') else []
    counted += [(name, metric) for name in ('val_evaluator', 'test_evaluator') for metric in _listed(cfg.get(name))]
    for name, part in counted:
        tops = (
            _listed(part.get('topk'))
            if part is head or part.get('type') in ('Accuracy', 'mmpretrain.Accuracy')
            else []
        )
        if (most := max(tops, default=1)) > classes:
            yield (
                f'{name}.topk: received {most}, but {where} is {classes}. Expected numbers of at most {classes}, such '
                'as topk=(1,).'
            )
    augments = (model.get('train_cfg') or preprocessor.get('batch_augments') or {}).get('augments')
    mixing = [
        part['type'] for part in _listed(augments) if str(part.get('type')).removeprefix('mmpretrain.') in MIXING
    ]
    if mixing and preprocessor.get('num_classes') != classes:
        yield (
            f'data_preprocessor.num_classes: received {preprocessor.get("num_classes")}, but {where} is {classes}, '
            f'and {mixing[0]} mixes labels of that many classes. Set data_preprocessor.num_classes={classes}.'
        )


def _channels(model: Mapping, preprocessor: Mapping) -> Iterator[str]:
    mean, std = preprocessor.get('mean'), preprocessor.get('std')
    if not isinstance(mean, list | tuple):
        return
    if isinstance(std, list | tuple) and len(mean) != len(std):
        yield (
            f'data_preprocessor: received {len(mean)} means and {len(std)} deviations, expected one of each per '
            'channel.'
        )
    if len(mean) not in (1, 3) and 'host' in (model.get('backbone') or {}):  # one stands for all channels
        yield f'data_preprocessor: received {len(mean)} means, expected 3, one for each channel of the host.'


def _packs(dataset, where: str) -> Iterator[str]:
    dataset = dataset if isinstance(dataset, Mapping) else {}
    for index, inner in enumerate(_listed(dataset.get('datasets'))):
        yield from _packs(inner, f'{where}.datasets[{index}]')
    pipeline = dataset.get('pipeline')
    kinds = [str(kind) for kind in _types(pipeline)]
    if isinstance(dataset.get('dataset'), Mapping):
        yield from _packs(dataset['dataset'], f'{where}.dataset')
    elif isinstance(pipeline, Mapping) or any(isinstance(step, str) for step in pipeline or ()):
        yield f'{where}.pipeline: received {pipeline!r}, expected a list of steps: [dict(type=…), …].'
    elif isinstance(pipeline, list | tuple) and not any('Pack' in kind for kind in kinds):
        yield (
            f'{where}.pipeline: received {kinds}, expected a last step that packs image and label, such as '
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
