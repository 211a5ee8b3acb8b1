"""Where configs and tools lie, in a checkout and in an installed package, and ``_base_ = 'mmsparse::…'`` for them."""

from pathlib import Path

PREFIX = 'mmsparse::'


def home() -> Path:
    """Return the folder that holds ``configs`` and ``tools``: the repository, or ``.mim`` in an installed package."""
    package = Path(__file__).parents[1]
    return package / '.mim' if (package / '.mim').is_dir() else package.parent


def found(path: str | Path) -> Path:
    """Return the path of a config: one of ours by ``mmsparse::sparse_tuning/tiny_digits.py``, any other as it is."""
    name = str(path)
    return home() / 'configs' / name.removeprefix(PREFIX) if name.startswith(PREFIX) else Path(path)


def open_to(config) -> None:
    """Let MMEngine's configs inherit ours.

    Args:
        config: the module ``mmengine.config.config``, whenever it is imported.

    Its table of packages is closed, and it would put everything inherited into the scope of the package named: ours come with a
    ``default_scope`` of their own, as if they stood in the folder of the config that inherits them.
    """
    others = config.Config._get_cfg_path

    def find(cfg_path: str, filename: str) -> tuple[str, str | None]:
        return (str(found(cfg_path)), None) if cfg_path.startswith(PREFIX) else others(cfg_path, filename)

    config.Config._get_cfg_path = staticmethod(find)
