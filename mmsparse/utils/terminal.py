"""Where text goes: drawn on a terminal, plain lines elsewhere, always plain in the log file."""

import logging
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

LIBRARIES = ('mmengine', 'mmcv', 'mmpretrain', 'mmseg')
HEARD = ('logger_hook', 'early_stopping_hook')  # modules of theirs that tell how the training goes


def screens(logger: logging.Logger) -> list[logging.Handler]:
    """Return the handlers that write to the screen; the others write the log file."""
    return [
        h for h in logger.handlers if isinstance(h, logging.StreamHandler) and not isinstance(h, logging.FileHandler)
    ]


def quieten(logger: logging.Logger) -> None:
    """Leave MMEngine's lines on environment, config and hooks to the log file; show warnings, but no deprecations."""
    folders = tuple(str(Path(sys.modules[name].__file__).parent) for name in LIBRARIES if name in sys.modules)

    def heard(line: logging.LogRecord) -> bool:
        text = line.getMessage()
        if not line.pathname.startswith(folders):
            return True
        if line.levelno > logging.INFO:
            return 'will be deprecated' not in text
        return (line.module in HEARD and not text.startswith('Exp name')) or text.startswith('resumed epoch')

    for handler in screens(logger):
        handler.addFilter(heard)


def figures(metrics: Mapping) -> str:
    """Return metrics as one line, floats with four digits."""
    return ', '.join(f'{key} {figure(value)}' for key, value in metrics.items())


def figure(value) -> str:
    """Return a value, a float with four digits."""
    return f'{value:.4g}' if isinstance(value, float) else f'{value}'


def command(tool: str, *words) -> str:
    """Return the command of a tool beside the running one; paths below the working directory are shortened."""
    beside = Path(sys.argv[0]).with_name(f'{tool}.py')
    return shlex.join(['python', near(beside) if beside.is_file() else f'tools/{tool}.py', *map(near, words)])


def near(path: str | Path) -> str:
    """Return a path as one would write it in the working directory."""
    full = Path(path).absolute()
    return str(full.relative_to(Path.cwd())) if full.exists() and full.is_relative_to(Path.cwd()) else str(path)


def show(
    logger: logging.Logger, title: str, rows: Mapping[str, str], commands: Mapping[str, str] | None = None
) -> None:
    """Show a card, a title and named rows: drawn on a terminal, as plain lines elsewhere and in the log file.

    Args:
        logger: of the run.
        title: of the card.
        rows: by name.
        commands: by purpose; never wrapped, so that they can be copied.
    """
    console, commands = Console(), commands or {}
    width = max(map(len, [*rows, *commands]))
    levels = {handler: handler.level for handler in screens(logger)}
    if console.is_terminal:
        table = Table.grid(padding=(0, 2))
        for name, text in rows.items():
            table.add_row(Text(name, 'bold'), Text(text))  # not markup: paths may have brackets
        console.print(Panel(table, title=title, expand=False))
        for name, text in commands.items():
            console.print(Text(f'  {name:<{width}}  ', 'bold'), Text(text), sep='', soft_wrap=True)
        for handler in levels:
            handler.setLevel(logging.WARNING)
    logger.info('\n'.join([title, *(f'    {name:<{width}}  {text}' for name, text in {**rows, **commands}.items())]))
    for handler, level in levels.items():
        handler.setLevel(level)
