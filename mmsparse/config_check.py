"""Refuse a misspelt config before anything is built or loaded."""

from collections.abc import Mapping

from mmsparse.hints import check_arguments, find_type
from mmsparse.loss_check import refuse_lost_losses

# What a builder adds by itself: SparseViT its view, the runner itself and what it has built.
INJECTED = frozenset({'view', 'runner', 'dataloader', 'evaluator'})


def check_config(cfg: Mapping) -> None:
    """Walk a whole config; refuse unknown types, unknown or missing arguments of hosts and of ``mmsparse.*`` types, and losses that get lost.

    Args:
        cfg: a Config of MMEngine, as read from a file and with all options merged.

    Raises:
        InputError: names the place in the config, what it holds, what is expected there and the nearest right spelling.
    """
    for key, value in cfg.items():
        _walk(value, key, cfg.get('default_scope') or 'mmengine')


def _walk(node, where: str, scope: str) -> None:
    if isinstance(node, Mapping):
        scope, target = node.get('_scope_') or scope, None
        if 'type' in node:
            target = find_type(node['type'], scope, where)
            # Other packages' builders add and remove keys of their own; theirs are left to them.
            if where.endswith('.host') or getattr(target, '__module__', '').startswith('mmsparse.'):
                check_arguments(target, node, where, INJECTED)
        for key, value in node.items():
            # mmpretrain's LoRAModel writes patterns of module names as dict(type='.*qkv').
            if key != 'targets':
                _walk(value, f'{where}.{key}', scope)
        if target is not None:  # only now that what is misspelt below has been named
            refuse_lost_losses(target, node, scope, where)
    elif isinstance(node, list | tuple):
        for index, value in enumerate(node):
            _walk(value, f'{where}[{index}]', scope)
