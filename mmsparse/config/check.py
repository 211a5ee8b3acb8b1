"""Refuse a wrong config before anything is built or loaded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mmengine.utils import get_object_from_string

from mmsparse.config.rules import contradictions
from mmsparse.config.slots import KINDS, LOOP, PLAIN, TOP, TYPED, Slot, below
from mmsparse.errors import InputError, refuse
from mmsparse.models.backbones.uncollected_losses import refuse_lost_losses
from mmsparse.utils.hints import check_arguments, find_type, takes
from mmsparse.utils.spelling import did_you_mean


def check_config(cfg: Mapping) -> None:
    """Refuse unknown types and arguments, missing ones, values out of range, contradictions, and losses that get lost.

    Args:
        cfg: a Config of MMEngine, as read from a file and with all options merged.

    Raises:
        InputError: names the place in the config, what it holds, what is expected there and the nearest right
            spelling.
    """
    refuse(_value_faults(cfg, '', PLAIN))
    for key, slot in TOP.items():  # other entries are variables of the file, or plain values
        refuse(_faults(cfg.get(key), key, cfg.get('default_scope') or 'mmengine', slot, cfg))
    refuse(contradictions(cfg))


def _faults(node, where: str, scope: str, slot: Slot, parent: Mapping) -> Iterator[str]:
    if isinstance(node, list | tuple):
        for index, value in enumerate(node):
            yield from _faults(value, f'{where}[{index}]', scope, slot, parent)
    elif isinstance(node, Mapping):
        scope = node.get('_scope_') or scope
        yield from _key_faults(node, where, slot.keys)
        target = _target(node, where, scope, slot)
        if target is not None:
            yield from _target_faults(target, node, where, slot, parent)
        yield from _value_faults(node, f'{where}.', slot.values)
        for key, value in node.items():
            # LoRAModel of mmpretrain writes patterns of names as dict(type='.*qkv'), Albu types of another library.
            if key == 'targets' or key == 'transforms' and str(node.get('type')).startswith('Albu'):
                continue
            if target is not None or slot.keys:
                inner = below(slot, key)
            else:  # named by their users, not by a class: default_hooks, an optimiser for each of several models
                inner = slot.inner or slot._replace(built='')
            yield from _faults(
                value, f'{where}[{key!r}]' if slot.inner and inner.keys else f'{where}.{key}', scope, inner, node
            )
        if target is not None:  # only now that what is misspelt below has been named
            refuse_lost_losses(target, node, scope, where)
    elif isinstance(node, str | int | float) and not isinstance(node, bool) and (slot.built or slot.keys):
        expected = slot.built or f'a dict of some of: {", ".join(slot.keys)}'
        expected = expected.replace('type=…', f'type={node!r}, …') if isinstance(node, str) else expected
        yield f'{where}: received {node!r}, expected {expected}.'


def _target(node: Mapping, where: str, scope: str, slot: Slot):
    """The class or function called with a dictionary; None where there is none, or its keys are the user's names."""
    if slot.keys:
        return None
    if 'type' in node and slot.types:
        if node['type'] not in slot.types:
            raise InputError(f'{where}: received {dict(node)}, expected {slot.built}.')
        return slot.types[node['type']]
    if 'type' in node:
        return find_type(node['type'], scope, where, slot.registries, slot.complete)
    if slot.default:
        several = node.get('constructor') and 'optimizer' not in node
        return None if several else get_object_from_string(slot.default)
    if slot.registries == LOOP.registries:
        if not isinstance(by_epoch := node.get('by_epoch'), bool):
            raise InputError(
                f'{where}: received by_epoch={by_epoch!r}, expected True with max_epochs, or False with max_iters.'
            )
        return get_object_from_string(f'mmengine.runner.{"Epoch" if by_epoch else "Iter"}BasedTrainLoop')
    if slot.complete and not slot.inner:
        raise InputError(f'{where}: received {dict(node)} without a type, expected {slot.built or TYPED}.')
    return None


def _key_faults(node: Mapping, where: str, keys: tuple[str, ...]) -> Iterator[str]:
    for key in node if keys else ():
        hint = did_you_mean(key, keys, most=1, cutoff=0.8, write=repr)
        # optimisers read marks of their own, such as lars_exclude
        if key not in keys and (hint or not where.startswith('optim_wrapper')):
            yield f'{where}: nothing reads {key!r}, expected some of: {", ".join(keys)}.{hint}'


def _target_faults(target, node: Mapping, where: str, slot: Slot, parent: Mapping) -> Iterator[str]:
    ours = getattr(target, '__module__', '').startswith('mmsparse.')
    host = where.endswith('.host')
    if slot.checked or ours or host:
        read = () if ours and 'view' in slot.added and not host else slot.read  # our parts read no checkpoint
        check_arguments(target, node, where, read, slot.added, slot.complete or ours or host)
    if 'view' in slot.added and 'host' not in parent and '.' in where and takes(target, 'view'):
        yield (
            f'{where}: received {node["type"]}, which acts inside a host. Put it into the adapter or sparsifier of a '
            "backbone=dict(type='mmsparse.SparseViT', host=…)."
        )


def _value_faults(node: Mapping, place: str, kinds: Mapping[str, str]) -> Iterator[str]:
    for name, kind in kinds.items():
        fits, words = KINDS[kind]
        if (value := node.get(name)) is not None and not fits(value):
            yield f'{place}{name}: {words.format(value)}.'
