"""A config made small enough for a few steps in seconds: few pictures, no workers, a narrow host in the place of a
wide one. All else is the config's own: parts, losses, pipelines, schedules, hooks.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from mmengine.config import Config
from mmengine.registry import DefaultScope

from mmsparse.analysis.stand_ins import write_stand_in
from mmsparse.models.hosts.build import sketch

BATCH = 2
WIDE = 192  # hosts wider than this, in channels, are exchanged
NARROW = {  # arguments of a host by the builders of its kind; its depth, patches and image size stay
    ('mmsparse.TimmViT', 'mmsparse.DinoViT', None): dict(embed_dim=48, num_heads=4),
    ('mmsparse.OpenClipViT', 'mmsparse.ProxyClipViT'): dict(width=48, head_width=16),
}
LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')


def narrow_hosts(cfg: Config) -> str:
    """Let hosts start with random weights, and make wide ones narrow.

    Args:
        cfg: changed in place; what is as wide as the host (a head's `in_channels`) follows.

    Returns:
        What was exchanged, for people to read; '' where all hosts stay.
    """
    said = []
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope') or 'mmpretrain'):
        for host in list(hosts(cfg.model)):
            kind = host.get('type')
            shipped = str(host.get('checkpoint')).startswith('mmsparse://')
            changes = next((changes for kinds, changes in NARROW.items() if kind in kinds), None)
            if not shipped:
                host['checkpoint'] = False
            # what has no type is no host of ours, but a network of timm under a name: its width is nobody's
            width = 0 if shipped or changes is None else _width(json.dumps(host)) if kind else WIDE + 1
            if width <= WIDE:
                continue
            host.update(changes)
            host.pop('pretrained', None)
            now = changes.get('embed_dim') or changes['width']
            said.append(f'{host.get("name", kind)}, {now} channels wide')
            if kind:
                _follow(cfg.model, width, now)
    return ' and '.join(said)


def shorten(cfg: Config, folder: Path, steps: int = 5, saved_at: int = 3) -> list[str]:
    """Let a config run for a few steps of a few pictures, one step to an epoch, and validate at the end.

    Args:
        cfg: changed in place.
        folder: where pictures are written (`write_stand_in`).
        steps: of the whole run.
        saved_at: the step behind which a state is saved, besides the last one.

    Returns:
        What each data set reads: 'stand-in', 'shipped' or, where nothing is known of its class, 'its own files'.
    """
    scope = cfg.get('default_scope') or 'mmpretrain'
    model_head = cfg.model.get('head') or cfg.model.get('decode_head') or {}
    classes = model_head.get('num_classes') or cfg.model.get('num_classes') or 2
    host = next(hosts(cfg.model), cfg.model)
    side, read = host.get('img_size'), []
    for name in LOADERS:
        if (loader := cfg.get(name)) is None:
            continue
        loader.update(num_workers=0, persistent_workers=False)
        if loader.get('batch_size') is not None:
            loader.batch_size = min(BATCH, loader.batch_size)
        for node in _datasets(loader.dataset):
            root = folder / str(node['type']).split('.')[-1]
            read.append(write_stand_in(node, root, 2 * BATCH, classes, scope, side) or 'its own files')
            held_out = node.get('indices')
            node['indices'] = -BATCH if isinstance(held_out, int) and held_out < 0 else BATCH
    if (loop := cfg.get('train_cfg')) is not None:
        by_epoch = loop.get('by_epoch', 'max_epochs' in loop)
        length = 'max_epochs' if by_epoch else 'max_iters'
        for hook in cfg.get('custom_hooks') or []:  # a part's schedule keeps its share of the run
            for key in {'start', 'epochs'} & hook.keys():
                hook[key] = max(1, hook[key] * steps // loop[length])
        loop[length] = loop['val_interval'] = steps
        cfg.default_hooks.checkpoint.update(interval=saved_at)
        cfg.default_hooks.logger.interval = 1
    if (search := cfg.get('test_cfg') or {}).get('type') == 'mmsparse.EvolutionSearchLoop':
        search.update(generations=2, population=2, parents=1, mutants=1, crosses=1)
    return list(dict.fromkeys(read))


@cache
def _width(host: str) -> int:
    return sketch(json.loads(host)).width


def hosts(node) -> Iterator[dict]:
    """Every host's config below a node."""
    if isinstance(node, Mapping):
        if isinstance(node.get('host'), Mapping):
            yield node['host']
        node = list(node.values())
    for value in node if isinstance(node, list | tuple) else ():
        yield from hosts(value)


def _datasets(node) -> Iterator[dict]:
    """The data sets below wrappers of them."""
    if isinstance(node.get('dataset'), Mapping):
        yield from _datasets(node['dataset'])
    elif isinstance(node.get('datasets'), list | tuple):
        for inner in node['datasets']:
            yield from _datasets(inner)
    else:
        yield node


def _follow(node, old: int, new: int) -> None:
    """Set what reads a host's output to its new width."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            if key == 'in_channels':
                node[key] = (
                    [new if each == old else each for each in value]
                    if isinstance(value, list | tuple)
                    else (new if value == old else value)
                )
            elif key != 'host':
                _follow(value, old, new)
    elif isinstance(node, list | tuple):
        for value in node:
            _follow(value, old, new)
