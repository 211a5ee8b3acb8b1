"""One table for the terminal, for a page and for a spreadsheet."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mmsparse.errors import InputError, in_words

BEGIN, END = '<!-- tables: begin -->', '<!-- tables: end -->'


@dataclass
class Table:
    """Cells in rows; numbers are set right and, but for CSV, written as they are.

    Args:
        columns: their names.
        rows: as many cells each; None is an empty cell.
        title: above the table.
    """

    columns: Sequence[str]
    rows: list[Sequence] = field(default_factory=list)
    title: str = ''

    def rich(self):
        """Return it as a `rich.table.Table`."""
        from rich.table import Table as RichTable

        table = RichTable(title=self.title or None)
        for column, right in zip(self.columns, self._numeric()):
            table.add_column(column, justify='right' if right else 'left')
        for row in self.rows:
            table.add_row(*map(_text, row))
        return table

    def markdown(self) -> str:
        """Return it as Markdown, without the title."""
        rule = ['--:' if right else '---' for right in self._numeric()]
        return '\n'.join(
            '| ' + ' | '.join(_text(cell).replace('|', '\\|') for cell in row) + ' |'
            for row in (self.columns, rule, *self.rows)
        )

    def write_csv(self, path: str | Path) -> None:
        """Write it as CSV.

        Raises:
            InputError: the file cannot be written.
        """
        with writable(path).open('w', newline='') as file:
            csv.writer(file).writerows([self.columns, *self.rows])

    def _numeric(self) -> list[bool]:
        return [any(isinstance(row[i], int | float) for row in self.rows) for i in range(len(self.columns))]


def print_tables(*tables: Table) -> None:
    """Print tables, at full width where the output is a file or a pipe."""
    from rich.console import Console

    console = Console()
    for table in tables:
        (console if console.is_terminal else Console(width=160)).print(table.rich())


def writable(path: str | Path) -> Path:
    """Return the path of a file to write, its folder made.

    Raises:
        InputError: something else is there, or the folder cannot be made.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise IsADirectoryError('it is a folder')
        path.touch()
    except OSError as error:
        raise InputError(f'{path}: cannot be written ({error.strerror or error}). Name another file.') from error
    return path


def write_between(page: Path, text: str) -> None:
    """Put tables between a page's markers, or make the page; what stands around them stays.

    Raises:
        InputError: a page without the markers.
    """
    before, begin, rest = page.read_text().partition(BEGIN) if page.exists() else ('', BEGIN, END + '\n')
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise InputError(
            f'{page}: expected a line {BEGIN!r} and one {END!r} in it, between which the tables go. Add them.'
        )
    writable(page).write_text(f'{before}{BEGIN}\n\n{text}\n{END}{after}')


def read_csv(path: str | Path, needed: Sequence[str]) -> list[dict[str, str]]:
    """Read a CSV file with a header, one dict per row.

    Args:
        path: the file.
        needed: columns that must be there; others are kept.

    Raises:
        InputError: no such file, not a CSV, a column missing, or a row of another length; the text names it.
    """
    expected = f'Expected a file with the columns {", ".join(needed)}.'
    with in_words(f'{path}: cannot be read as CSV', expected), Path(path).open(newline='') as file:
        reader = csv.DictReader(file, strict=True)
        found, rows = reader.fieldnames or [], list(reader)
    missing = [column for column in needed if column not in found]
    if missing:
        raise InputError(
            f'{path}: the columns {", ".join(missing)} are missing; received {", ".join(found) or "an empty file"}. '
            'Add them to the header.'
        )
    for number, row in enumerate(rows, start=2):
        if None in row or None in row.values():
            raise InputError(
                f'{path}, line {number}: received another number of cells than the header has ({len(found)}). Correct '
                'the line.'
            )
    return rows


def _text(cell) -> str:
    if cell is None:
        return ''
    return f'{cell:,}' if isinstance(cell, int) and not isinstance(cell, bool) else str(cell)
