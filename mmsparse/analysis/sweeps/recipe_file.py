"""What the runs of a cell were begun with, in a file of its folder: it outlives the queue."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from mmsparse.errors import in_words
from mmsparse.state.folder import write_whole

RECIPE = 'recipe.json'


@dataclass(frozen=True)
class Recipe:
    """What runs are begun with.

    Attributes:
        digest: of their config.
        options: set for all of them besides, once.
    """

    digest: str
    options: dict[str, str]

    def write(self, cell: Path) -> None:
        """Write it into a cell's folder, made where it is missing."""
        cell.mkdir(parents=True, exist_ok=True)
        write_whole(cell / RECIPE, json.dumps(asdict(self)))


def read_recipe(cell: Path) -> Recipe | None:
    """Return what a cell was begun with, or None.

    Raises:
        InputError: the file is damaged.
    """
    file = cell / RECIPE
    if not file.is_file():
        return None
    with in_words(f'{file}: damaged', 'Move it away, if you know that the config is still the same.'):
        return Recipe(**json.loads(file.read_text()))
