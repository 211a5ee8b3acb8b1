"""Where configs and tools lie, in a checkout and in an installed package, and ``_base_ = 'mmsparse::…'`` for them."""

import warnings
from pathlib import Path

from mmsparse.errors import InputError
from mmsparse.utils.spelling import did_you_mean

PREFIX = 'mmsparse::'
EXAMPLE = 'configs/sparse_tuning/tiny_digits.py'
RENAMED = {'sparse_tuning/custom.py': 'tiny_custom.py'}  # go on working for one release


def home() -> Path:
    """Return the folder that holds ``configs`` and ``tools``: the repository, or ``.mim`` in an installed package."""
    package = Path(__file__).parents[1]
    return package / '.mim' if (package / '.mim').is_dir() else package.parent


def found(path: str | Path) -> Path:
    """Return the path of a config: one of ours by ``mmsparse::sparse_tuning/tiny_digits.py``, any other as it is."""
    name = str(path)
    path = home() / 'configs' / name.removeprefix(PREFIX) if name.startswith(PREFIX) else Path(path)
    now = path.with_name(RENAMED.get('/'.join(path.absolute().parts[-2:]), path.name))
    if now == path or path.exists() or not now.exists():
        return path
    warnings.warn(f'{path} is {now} now; the old path goes with the next release.', DeprecationWarning, stacklevel=2)
    return now


def config_file(path: str | Path) -> Path:
    """Return the path of a config file.

    Raises:
        InputError: no such file; the text names the nearest one.
    """
    path = found(path)
    if path.is_file() and path.suffix in ('.py', '.json', '.yml', '.yaml'):
        return path
    if path.is_dir():
        fault = f'a folder, expected a config file first, such as {EXAMPLE}; the folder of a state comes after it.'
    elif path.is_file():
        fault = f'received a {path.suffix or "suffixless"} file, expected a config first: a .py file.'
    else:
        beside = [other.name for other in path.parent.glob('*.py')]
        hint = did_you_mean(path.name, beside, most=1, write=path.with_name)
        fault = f'no such config file.{hint or f" Expected a path such as {EXAMPLE}."}'
    raise InputError(f'{path}: {fault}')


def open_to(config) -> None:
    """Let MMEngine's configs inherit ours.

    Args:
        config: the module ``mmengine.config.config``, whenever it is imported.

    Its table of packages is closed, and it would put everything inherited into the scope of the package named: ours
    come with a ``default_scope`` of their own, as if they stood in the folder of the config that inherits them.
    """
    others = config.Config._get_cfg_path

    def find(cfg_path: str, filename: str) -> tuple[str, str | None]:
        return (str(found(cfg_path)), None) if cfg_path.startswith(PREFIX) else others(cfg_path, filename)

    config.Config._get_cfg_path = staticmethod(find)
