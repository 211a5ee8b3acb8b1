"""Entries of a config that MMEngine reads key by key, with ``get``: what is misspelt there, or no dictionary, would be passed over or fail late."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from os import PathLike

from torch.nn import utils

from mmsparse.errors import InputError
from mmsparse.utils.hints import check_arguments
from mmsparse.utils.value_checks import is_number

MULTIPLIERS = ('lr_mult', 'decay_mult')
KEYS = {  # by place
    'env_cfg': ('cudnn_benchmark', 'mp_cfg', 'dist_cfg', 'resource_limit'),
    'env_cfg.mp_cfg': ('mp_start_method', 'opencv_num_threads'),
    'auto_scale_lr': ('enable', 'base_batch_size'),
    'optim_wrapper.paramwise_cfg': (
        *('bias_lr_mult', 'bias_decay_mult', 'norm_decay_mult', 'flat_decay_mult', 'dwconv_decay_mult', 'dcn_offset_lr_mult'),
        *('bypass_duplicate', 'custom_keys', 'layer_decay_rate', 'decay_rate', 'decay_type', 'num_layers'),  # the latter of mmpretrain and mmseg
    ),
}
PARTS = ('backbone', 'head', 'decode_head', 'host', 'adapter', 'sparsifier', 'loss', 'optimizer', 'sampler', 'dataset')
LEVELS = ('CRITICAL', 'FATAL', 'ERROR', 'WARN', 'WARNING', 'INFO', 'DEBUG', 'NOTSET')
CLIP = {'norm': utils.clip_grad_norm_, 'value': utils.clip_grad_value_}


def check_plain(cfg: Mapping) -> None:
    """Refuse keys that nobody reads, and values of another kind than is read there.

    Raises:
        InputError: names the place and what is expected.
    """
    for where, keys in KEYS.items():
        _keys(_at(cfg, where), where, keys)
    for name, settings in (_at(cfg, 'optim_wrapper.paramwise_cfg.custom_keys') or {}).items():
        _keys(settings, f'optim_wrapper.paramwise_cfg.custom_keys[{name!r}]', MULTIPLIERS)
    _clip(_at(cfg, 'optim_wrapper.clip_grad'))
    wrapper = cfg.get('optim_wrapper')
    if isinstance(wrapper, Mapping) and 'optimizer' not in wrapper and 'constructor' not in wrapper:
        raise InputError(f"optim_wrapper: received {', '.join(wrapper) or 'nothing'}, expected optimizer=dict(type='AdamW', lr=…).")
    if (level := cfg.get('log_level')) is not None and isinstance(level, str) and level not in LEVELS:
        raise InputError(f'log_level: received {level!r}, expected one of: {", ".join(LEVELS)}.')
    if not isinstance(cfg.get('work_dir', ''), str | PathLike | None):
        raise InputError(f'work_dir: received {cfg["work_dir"]!r}, expected the path of a folder.')
    if not isinstance(cfg.get('resume', False), bool | None):
        raise InputError(f'resume: received {cfg["resume"]!r}, expected True or False. To go on from a state set load_from=STATE resume=True.')
    if _at(cfg, 'auto_scale_lr.enable') and not isinstance(_at(cfg, 'auto_scale_lr.base_batch_size'), int):
        raise InputError(
            'auto_scale_lr: received no base_batch_size, expected auto_scale_lr=dict(base_batch_size=N), the batch the rate was set for.'
        )
    for name, hook in (cfg.get('default_hooks') or {}).items():
        if isinstance(hook, str | int | float) or isinstance(hook, Mapping) and 'type' not in hook:
            raise InputError(f'default_hooks.{name}: received {hook!r}, expected dict(type=…), a hook. Change one by default_hooks.NAME.ARGUMENT.')
    if isinstance(cfg.get('custom_hooks'), Mapping):
        raise InputError(f'custom_hooks: received {dict(cfg["custom_hooks"])}, expected a list of hooks: [dict(type=…)].')
    for split in ('train', 'val', 'test'):
        _loader(cfg.get(f'{split}_dataloader'), f'{split}_dataloader')
    _deviation(_at(cfg, 'model.data_preprocessor') or cfg.get('data_preprocessor'), 'host' in (_at(cfg, 'model.backbone') or {}))
    for name in ('model', 'optim_wrapper', 'train_dataloader', 'val_dataloader', 'test_dataloader'):
        _words(cfg.get(name), name)


def _at(cfg: Mapping, where: str):
    first, *rest = where.split('.')
    found = cfg.get(first)  # a Config is no Mapping
    for key in rest:
        found = found.get(key) if isinstance(found, Mapping) else None
    return found


def _keys(given, where: str, keys: tuple[str, ...]) -> None:
    if given is not None and not isinstance(given, Mapping):
        raise InputError(f'{where}: received {given!r}, expected a dict of some of: {", ".join(keys)}.')
    for key in given or ():
        near = get_close_matches(key, keys, n=1, cutoff=0.8)
        if key not in keys and (near or not where.startswith('optim_wrapper')):  # optimisers read marks of their own there, such as lars_exclude
            hint = f' Did you mean {near[0]!r}?' if near else ''
            raise InputError(f'{where}: nothing reads {key!r}, expected some of: {", ".join(keys)}.{hint}')


def _clip(given) -> None:
    if given is None:
        return
    kind = given.get('type', 'norm') if isinstance(given, Mapping) else None
    if not given or kind not in CLIP:
        raise InputError(f"optim_wrapper.clip_grad: received {given!r}, expected dict(max_norm=1.0), or dict(type='value', clip_value=1.0).")
    check_arguments(CLIP[kind], given, 'optim_wrapper.clip_grad', added=('parameters',))
    limit = given['max_norm' if kind == 'norm' else 'clip_value']
    if not is_number(limit) or limit <= 0:
        raise InputError(f'optim_wrapper.clip_grad: received the limit {limit!r}, expected a number above 0. Leave clip_grad out for no limit.')


def _loader(given, where: str) -> None:
    if not isinstance(given, Mapping):
        return
    if given.get('dataset') is None:
        raise InputError(f'{where}: received no dataset, expected dataset=dict(type=…, data_root=…).')
    if given.get('prefetch_factor') and not given.get('num_workers'):
        raise InputError(f'{where}.prefetch_factor: received {given["prefetch_factor"]} without workers. Set num_workers, or leave it out.')


def _deviation(given, coloured: bool) -> None:
    mean, std = (given.get(key) if isinstance(given, Mapping) else None for key in ('mean', 'std'))
    if isinstance(std, list | tuple) and not all(is_number(value) and value > 0 for value in std):
        raise InputError(f'data_preprocessor.std: received {list(std)}, expected numbers above 0: pixels are divided by them.')
    if isinstance(mean, list | tuple) and isinstance(std, list | tuple) and len(mean) != len(std):
        raise InputError(f'data_preprocessor: received {len(mean)} means and {len(std)} deviations, expected one of each per channel.')
    if coloured and isinstance(mean, list | tuple) and len(mean) not in (1, 3):  # one stands for all channels
        raise InputError(f'data_preprocessor: received {len(mean)} means, expected 3, one for each channel of the host.')


def _words(node, where: str) -> None:
    """Refuse a bare word where a part is built from a dictionary."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            if key in PARTS and isinstance(value, str) and ('type' in node or where.endswith(('_dataloader', 'optim_wrapper'))):
                raise InputError(f'{where}.{key}: received {value!r}, expected dict(type={value!r}, …).')
            _words(value, f'{where}.{key}')
    elif isinstance(node, list | tuple):
        for index, value in enumerate(node):
            _words(value, f'{where}[{index}]')
