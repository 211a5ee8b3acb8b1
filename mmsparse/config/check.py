"""Refuse a wrong config before anything is built or loaded."""

from __future__ import annotations

from collections.abc import Mapping

from mmengine.utils import get_object_from_string

from mmsparse.config.plain import check_plain
from mmsparse.config.rules import check_rules
from mmsparse.config.slots import HOOK, LOOP, RANGES, TOP, Slot, below
from mmsparse.errors import InputError
from mmsparse.models.backbones.lost_losses import refuse_lost_losses
from mmsparse.utils.hints import check_arguments, find_type, takes
from mmsparse.utils.value_checks import is_number


def check_config(cfg: Mapping) -> None:
    """Walk a whole config; refuse unknown types, unknown or missing arguments, numbers out of range, entries that contradict each other, and
    losses that get lost.

    Args:
        cfg: a Config of MMEngine, as read from a file and with all options merged.

    Raises:
        InputError: names the place in the config, what it holds, what is expected there and the nearest right spelling.
    """
    scope = cfg.get('default_scope') or 'mmengine'
    check_plain(cfg)
    for key, slot in TOP.items():  # other entries are variables of the file, or plain values
        _walk(cfg.get(key), key, scope, slot, cfg)
    check_rules(cfg)


def _walk(node, where: str, scope: str, slot: Slot, parent: Mapping) -> None:
    if isinstance(node, Mapping):
        scope, target = node.get('_scope_') or scope, None
        if 'type' in node:
            target = find_type(node['type'], scope, where, slot.registries, slot.complete)
        else:
            target = _untyped(node, slot, where)
        if target is not None:
            _check(target, node, where, slot, parent)
        for key, value in node.items():
            # mmpretrain's LoRAModel writes patterns of module names as dict(type='.*qkv'), Albu the names of another library.
            if key != 'targets' and not (key == 'transforms' and str(node.get('type')).startswith('Albu')):
                # Named by their users, not by a class: default_hooks, an optimiser for each of several models.
                _walk(value, f'{where}.{key}', scope, slot if target is None else below(slot, key), node)
        if target is not None:  # only now that what is misspelt below has been named
            refuse_lost_losses(target, node, scope, where)
    elif isinstance(node, list | tuple):
        for index, value in enumerate(node):
            _walk(value, f'{where}[{index}]', scope, slot, parent)


def _untyped(node: Mapping, slot: Slot, where: str):
    """What MMEngine builds there without a type; None where entries are named by their users: default_hooks, several optimisers."""
    if (
        slot.complete
        and slot.numbers is not HOOK.numbers
        and slot.registries not in (LOOP.registries, TOP['param_scheduler'].registries)
        and not slot.default
    ):
        raise InputError(f'{where}: received {dict(node)} without a type, expected dict(type=…).')
    if slot.default is None and slot.registries != LOOP.registries or node.get('constructor') and 'optimizer' not in node:
        return None
    if slot.default is None:
        if not isinstance(node.get('by_epoch'), bool):
            raise InputError(f'{where}: received by_epoch={node.get("by_epoch")!r}, expected True with max_epochs, or False with max_iters.')
        return get_object_from_string(f'mmengine.runner.{"Epoch" if node["by_epoch"] else "Iter"}BasedTrainLoop')
    return get_object_from_string(slot.default)


def _check(target, node: Mapping, where: str, slot: Slot, parent: Mapping) -> None:
    ours = getattr(target, '__module__', '').startswith('mmsparse.')
    host = where.endswith('.host')
    if slot.checked or ours or host:
        read = () if ours and 'view' in slot.added and not host else slot.read  # our parts read no checkpoint
        check_arguments(target, node, where, read, slot.added, slot.complete or ours or host)
    if 'view' in slot.added and 'host' not in parent and '.' in where and takes(target, 'view'):
        raise InputError(
            f'{where}: received {node["type"]}, which acts inside a host. Put it into the adapter or sparsifier of a '
            "backbone=dict(type='mmsparse.SparseViT', host=…)."
        )
    for name, kind in slot.numbers.items():
        words, fits = RANGES[kind]
        value = node.get(name)
        if value is not None and not (is_number(value) and fits(value)):
            raise InputError(f'{where}.{name}: received {value!r}, expected {words}.')
