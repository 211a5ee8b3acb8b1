"""The six tasks of small VTAB, the one table of them."""

from typing import NamedTuple

PREFIX = 'small_vtab/'  # of a task's name in result files
GROUPS = ('Natural', 'Structured')
ANIMALS = ('bird', 'cat', 'deer', 'dog', 'frog', 'horse')
KINDS = ('airplane', 'automobile', *ANIMALS, 'ship', 'truck')


class Task(NamedTuple):
    """One task.

    Attributes:
        column: how tables head it.
        group: one of GROUPS.
        names: its classes; labels count from 0.
    """

    column: str
    group: str
    names: tuple[str, ...]

    @property
    def classes(self) -> int:
        """How many there are."""
        return len(self.names)


TASKS = {
    'digits': Task('Digits', 'Natural', tuple('0123456789')),
    'unseen': Task('Unseen kinds', 'Natural', ('cat', 'deer', 'frog')),
    'ten_kinds': Task('Ten kinds', 'Natural', KINDS),
    'way_up': Task('Way up', 'Structured', ('0°', '90°', '180°', '270°')),
    'quadrant': Task('Quadrant', 'Structured', ('upper left', 'upper right', 'lower left', 'lower right')),
    'animals': Task('Count animals', 'Structured', tuple('01234')),
}
