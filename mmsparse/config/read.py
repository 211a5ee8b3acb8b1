"""From a config file and ``--cfg-options`` to a config."""

import traceback
from pathlib import Path

from mmengine.config import Config

from mmsparse.config.rules import check_changes
from mmsparse.errors import InputError
from mmsparse.utils.packaged import config_file


def read_config(path: str | Path, changes: dict | None = None) -> Config:
    """Read a config file.

    Args:
        path: the file.
        changes: what ``--cfg-options`` gave.

    Raises:
        InputError: no such file, or it cannot be read; the text gives file and line.
    """
    path = config_file(path)
    try:
        cfg = Config.fromfile(path)
        check_changes(cfg, changes or {})
        cfg.merge_from_dict(changes or {})
        return cfg
    except InputError:
        raise
    except Exception as error:  # a config is a program: anything can come out of it
        last = traceback.extract_tb(error.__traceback__)[-1]
        place = f'{last.filename}, line {last.lineno}' if last.name == '<module>' else path
        raise InputError(f'{place}: this config cannot be used. {type(error).__name__}: {error}. Correct the file or --cfg-options.') from error
