"""Where configs and tools lie, in a checkout and in an installed package, and ``_base_ = 'mmsparse::…'`` for them."""

from pathlib import Path

PREFIX = 'mmsparse::'


def home() -> Path:
    """Return the folder that holds ``configs`` and ``tools``: the repository, or ``.mim`` in an installed package."""
    package = Path(__file__).parent
    return package / '.mim' if (package / '.mim').is_dir() else package.parent


def open_to(config) -> None:
    """Let MMEngine's configs inherit ours.

    Args:
        config: the module ``mmengine.config.config``, whenever it is imported.

    Its table of packages is closed, and it would put everything inherited into the scope of the package named: ours come with a
    ``default_scope`` of their own, as if they stood in the folder of the config that inherits them.
    """
    others = config.Config._get_cfg_path

    def find(cfg_path: str, filename: str) -> tuple[str, str | None]:
        if not cfg_path.startswith(PREFIX):
            return others(cfg_path, filename)
        return str(home() / 'configs' / cfg_path.removeprefix(PREFIX)), None

    config.Config._get_cfg_path = staticmethod(find)
