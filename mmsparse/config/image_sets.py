"""Another image set than the one that a config is for: ``--cfg-options data=svhn``, or ``data = 'svhn'`` in a file.

So a method, written down once, trains on every set of the paper: what the set's own file says takes the place of what
the old one's says, and all that the config itself changes stays. ``data=vtab`` brings VTAB-1K's schedule along and
leaves its task open (`mmsparse.config.vtab`).
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmsparse.errors import InputError
from mmsparse.utils.packaged import PREFIX, found
from mmsparse.utils.spelling import did_you_mean

KEY = 'data'
WHOLE = 'schedules/adamw_100e.py'
RECIPES = {  # type of the data set; below configs/_base_ what says where it is and how long one trains on it
    'cifar100': ('CIFAR100', 'datasets/cifar100.py', WHOLE),
    'svhn': ('mmsparse.SVHN', 'datasets/svhn.py', WHOLE),
    'food101': ('Food101', 'datasets/food101.py', WHOLE),
    'vtab': ('mmsparse.VTAB', 'datasets/vtab.py', 'schedules/adamw_vtab.py'),
}
FOLDER = 'A folder of your own: python tools/train.py configs/sparse_tuning/vitb_custom.py --data FOLDER.'


def set_data(cfg: Config, name: str | None = None) -> str:
    """Set pictures, pipelines, number of classes and schedule to those of another image set; the entry ``data`` goes,
    so that a config like any other is written.

    Args:
        cfg: changed in place.
        name: of the set; None: the one that the entry ``data`` names, or the config's own.

    Returns:
        What the run is called: the config's name, with the set's in the place of the one that it is written for.

    Raises:
        InputError: no such set, or a config that is not for a whole image set, or that holds images of it out.
    """
    stem, written = Path(cfg.filename).stem, cfg.get(KEY)
    kind = ((cfg.get('train_dataloader') or {}).get('dataset') or {}).get('type')
    own = next((each for each in RECIPES if each != 'vtab' and kind == RECIPES[each][0]), None)
    if name is not None and own is None:
        raise InputError(
            f'--cfg-options {KEY}: {cfg.filename} is for data of its own. Use a config for CIFAR-100 at 224 px, such '
            f'as configs/peft/vitb_lora_cifar100.py. {FOLDER}'
        )
    # Another's variable may be called that.
    if own is not None and isinstance(written, str) and written.isidentifier():
        cfg.pop(KEY)
        name = written if name is None else name
    if name is None or name == own:
        return stem
    if name not in RECIPES:
        raise InputError(
            f'{KEY}: received {name!r}, expected one of {", ".join(RECIPES)}.{did_you_mean(str(name), RECIPES)} '
            f'{FOLDER}'
        )
    if 'indices' in cfg.train_dataloader.dataset:
        raise InputError(
            f'{KEY}: received {name!r}, but {cfg.filename} trains on some images of {own} alone '
            '(train_dataloader.dataset.indices), which says nothing of another set. Write a config that says which of '
            f'{name} it holds out.'
        )
    old, new = _base(own), _base(name)
    for key in dict.fromkeys([*new, *old]):
        _put(cfg, key, old, new)
    set_classes(cfg, cfg.data_preprocessor.num_classes)
    return f'{stem.removesuffix(f"_{own}")}_{name}'


def set_classes(cfg: Config, number: int) -> None:
    """Let a model tell so many classes apart: its head, and the parts with classifiers of their own."""
    before, nodes = cfg.model.head.num_classes, [cfg.model]
    while nodes:
        node = nodes.pop()
        if isinstance(node, Mapping) and node.get('num_classes') == before:
            node['num_classes'] = number
        if isinstance(node, Mapping | list | tuple):
            nodes += node.values() if isinstance(node, Mapping) else node
    cfg.data_preprocessor.num_classes = number


@cache
def _base(name: str) -> Config:
    """What a set's files say, one after the other."""
    first, *others = (Config.fromfile(found(f'{PREFIX}_base_/{file}')) for file in RECIPES[name][1:])
    for other in others:
        first.merge_from_dict(other.to_dict())
    return first


GONE = object()


def _put(cfg: Config, key: str, old: Config, new: Config) -> None:
    value = changed(*(node.get(key, GONE) for node in (cfg, old, new)))
    if value is not GONE:
        cfg[key] = deepcopy(value)
    elif key in cfg:
        cfg.pop(key)


def changed(now: Any, old: Any, new: Any) -> Any:
    """Return what `now` makes of `old`, made of `new`: a merge of three, in which `now` wins; GONE: nothing."""
    if now == old:
        return new
    if not all(isinstance(node, Mapping) for node in (now, old, new)):
        return now
    values = {key: changed(*(node.get(key, GONE) for node in (now, old, new))) for key in [*new, *now]}
    return {key: value for key, value in values.items() if value is not GONE}
