"""Where text goes: drawn on a terminal, plain lines elsewhere, always plain in the log file."""

import logging
from collections.abc import Mapping

from rich.console import Console
from rich.panel import Panel
from rich.table import Table


def screens(logger: logging.Logger) -> list[logging.Handler]:
    """Return the handlers that write to the screen; the others write the log file."""
    return [h for h in logger.handlers if isinstance(h, logging.StreamHandler) and not isinstance(h, logging.FileHandler)]


def figures(metrics: Mapping) -> str:
    """Return metrics as one line, floats with four digits."""
    return ', '.join(f'{key} {value:.4g}' if isinstance(value, float) else f'{key} {value}' for key, value in metrics.items())


def show(logger: logging.Logger, title: str, rows: Mapping[str, str]) -> None:
    """Show a card: a title and named rows. On a terminal the screen gets it drawn, and the plain lines go to the log file only."""
    console = Console()
    levels = {handler: handler.level for handler in screens(logger)}
    if console.is_terminal:
        table = Table.grid(padding=(0, 2))
        for name, text in rows.items():
            table.add_row(f'[bold]{name}', text)
        console.print(Panel(table, title=title, expand=False))
        for handler in levels:
            handler.setLevel(logging.WARNING)
    width = max(map(len, rows))
    logger.info('\n'.join([title, *(f'    {name:<{width}}  {text}' for name, text in rows.items())]))
    for handler, level in levels.items():
        handler.setLevel(level)
