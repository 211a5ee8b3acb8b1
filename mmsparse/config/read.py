"""From a config file and ``--cfg-options`` to a config."""

import traceback
import warnings
from collections.abc import Mapping
from pathlib import Path

from mmengine.config import Config

from mmsparse.config.image_sets import KEY as DATA
from mmsparse.config.image_sets import set_data
from mmsparse.config.image_size import KEY as IMAGE_SIZE
from mmsparse.config.image_size import set_image_size
from mmsparse.config.rules import check_changes
from mmsparse.config.vtab import KEY as TASK
from mmsparse.config.vtab import set_task
from mmsparse.errors import InputError
from mmsparse.utils.hints import find_type
from mmsparse.utils.packaged import config_file

PARTS = ('adapter', 'sparsifier')


def read_config(path: str | Path, changes: dict | None = None) -> Config:
    """Read a config file and change it.

    Args:
        path: the file.
        changes: what ``--cfg-options`` gave, values by dotted path. An adapter or a sparsifier of another type takes
            the place of the one (or the list) that the file has, arguments included; ``img_size`` is the size of the
            images everywhere; ``data`` is the image set, ``task`` the task of VTAB-1K.

    Raises:
        InputError: no such file, or it cannot be read; the text gives file and line.
    """
    path = config_file(path)
    try:
        cfg = Config.fromfile(path)
        changes = dict(changes or {})
        name = set_data(cfg, changed := changes.pop(DATA, None))
        set_task(cfg, changes.pop(TASK, None), name)
        if changed is not None and not cfg.get('work_dir'):
            cfg.work_dir = f'./work_dirs/{name}'
        if IMAGE_SIZE in changes:
            set_image_size(cfg, changes.pop(IMAGE_SIZE))
        check_changes(cfg, changes)
        _clear_other_types(cfg, changes)
        cfg.merge_from_dict(changes)
        return cfg
    except InputError:
        raise
    except Exception as error:  # a config is a program: anything can come out of it
        last = traceback.extract_tb(error.__traceback__)[-1]
        place = f'{last.filename}, line {last.lineno}' if last.name == '<module>' else path
        raise InputError(
            f'{place}: this config cannot be used. {type(error).__name__}: {error}. Correct the file or --cfg-options.'
        ) from error


def _clear_other_types(cfg: Config, changes: Mapping) -> None:
    """Empty the places where the changes put an adapter or a sparsifier of another type: what MMEngine would merge it
    with is not its own.
    """
    for path, value in changes.items():
        *place, last = path.split('.')
        if last != 'type':
            place, value = [*place, last], value.get('type') if isinstance(value, Mapping) else None
        role = next((key for key in reversed(place) if not key.isdigit()), None)
        if value is None or role not in PARTS:
            continue
        *above, key = (int(key) if key.isdigit() else key for key in place)
        holder = cfg
        for each in above:
            holder = holder[each]
        old = holder.get(key) if isinstance(holder, Mapping) else holder[key]
        if not isinstance(old, Mapping) or str(old.get('type')).split('.')[-1] != value.split('.')[-1]:
            holder[key] = {}
            _drop_schedules(cfg, role, value, given={path.removeprefix('.'.join(place) + '.') for path in changes})


def _drop_schedules(cfg: Config, role: str, replacing: str, given: set[str]) -> None:
    """Drop the hooks that say (`schedules`) that they change an argument of the part that is gone, unless it is given
    for the new one: they would refuse that.
    """
    hooks = cfg.get('custom_hooks') or []
    for hook in list(hooks):
        kind = find_type(hook.get('type'), cfg.get('default_scope') or 'mmengine', 'custom_hooks', ('HOOKS',))
        part, _, argument = getattr(kind, 'schedules', '').partition('.')
        if part == role and argument not in given:
            hooks.remove(hook)
            warnings.warn(f'custom_hooks: {hook.type} goes with the {role} that {replacing} replaces.', stacklevel=2)
