"""Optuna's journal of a sweep, opened after a look at every line of it."""

from __future__ import annotations

import json
import os
from pathlib import Path

from mmsparse.errors import in_words


def open_journal(journal: Path, lost: str):
    """Return Optuna's storage, without what a killed process left of a last line, which nobody has read.

    Args:
        journal: its file; made where it is missing.
        lost: what to do without it, for the error.

    Raises:
        InputError: a damaged line, or one that Optuna does not know.
    """
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    lines = journal.read_bytes().splitlines(keepends=True) if journal.exists() else []
    if lines and not lines[-1].endswith(b'\n'):
        os.truncate(journal, sum(map(len, lines[:-1])))
        lines.pop()
    for number, line in enumerate(lines, start=1):
        with in_words(f'{journal}, line {number}: damaged', lost):
            json.loads(line)['op_code']
    with in_words(f"{journal}: cannot be read as Optuna's journal", lost):
        return JournalStorage(JournalFileBackend(str(journal)))
