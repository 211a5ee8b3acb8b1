"""The task of VTAB-1K or small VTAB that a config is for: ``task = 'svhn'`` in a file, or ``--cfg-options task=svhn``.

With ``per_task = 'FacT-TT'`` in the file, what that method sets for each task (`vtab_settings`) is set too.
"""

from __future__ import annotations

from pathlib import Path

from mmengine.config import Config

from mmsparse.config.image_sets import set_classes
from mmsparse.config.vtab_settings import settings
from mmsparse.datasets.small_vtab.tasks import TASKS as SMALL
from mmsparse.datasets.vtab.tasks import TASKS
from mmsparse.errors import InputError
from mmsparse.utils.spelling import did_you_mean

KEY = 'task'
BENCHMARKS = {'mmsparse.VTAB': TASKS, 'mmsparse.SmallVTAB': SMALL}  # by the data set of a config


def set_task(cfg: Config, name: str | None = None, run: str = '') -> None:
    """Set data, number of classes, the method's own settings and work folder to those of a task; the entries go, so
    that a config like any other is written.

    Args:
        cfg: changed in place. Without an entry ``task`` only a name is refused.
        name: instead of that entry.
        run: what the work folder is called, before the task; the config's name where nothing is said.

    Raises:
        InputError: no such task or method, or a config that has no task.
    """
    dataset = (cfg.get('train_dataloader') or {}).get('dataset') or {}
    tasks = BENCHMARKS.get(dataset.get('type'))
    if KEY not in cfg or tasks is None:  # another's variable may be called that
        if name is not None:
            raise InputError(
                f'--cfg-options {KEY}: {cfg.filename} leaves no task of VTAB-1K open. Use one of configs/vtab, or '
                'data=vtab beside it.'
            )
        return
    written = cfg.pop(KEY)
    name = written if name is None else name
    if name not in tasks:
        raise InputError(
            f'{KEY}: received {name!r}, expected one of {", ".join(tasks)}.{did_you_mean(str(name), tasks)}'
        )
    set_classes(cfg, tasks[name].classes)
    for loader in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        if cfg.get(loader):
            cfg[loader].dataset.task = name
    if method := cfg.pop('per_task', None):
        cfg.merge_from_dict(settings(method, name))
    if not cfg.get('work_dir'):
        cfg.work_dir = f'./work_dirs/{run or Path(cfg.filename).stem}_{name}'
