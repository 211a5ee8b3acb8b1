"""Which process is at work: a lock on a file lasts as long as a process that holds it, however that one ends."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mmsparse.errors import InputError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

MOUNTS = Path('/proc/self/mounts')
NETWORK = ('nfs', 'nfs4', 'lustre')
# Mount options under which a lock is seen on the machine that took it, and on no other.
ALONE = {'nolock', 'local_lock=all', 'local_lock=flock', 'localflock'}


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Wait for a lock and hold it.

    Raises:
        InputError: the file system has none.
    """
    descriptor = _take(path, wait=True)
    try:
        yield
    finally:
        os.close(descriptor)


def hold(path: Path) -> int | None:
    """Return the descriptor of a lock, or None where another process holds it.

    A process that inherits the descriptor holds it too; it is free when the last one has closed it or ended.

    Raises:
        InputError: the file system has none.
    """
    return _take(path, wait=False)


def _take(path: Path, wait: bool) -> int | None:
    if fcntl is None:
        raise InputError('tools/sweep.py: this system has no fcntl, which tells who is at work. Use Linux or macOS.')
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        os.close(descriptor)
        return None
    except OSError as error:
        os.close(descriptor)
        raise InputError(
            f'{path.parent}: this file system locks no files ({error.strerror}), so a run that is trained could not '
            'be told from one whose worker was killed. Mount it with locks (NFS without nolock, Lustre with flock), '
            "or name another --work-dir. Optuna's queue alone would do without: its JournalFileSymlinkLock (NFSv2) "
            'and JournalFileOpenLock (NFSv3) are files.'
        ) from error
    return descriptor


def seen_here_only(folder: Path) -> str:
    """Return the mount option by which locks below a folder are kept from other machines, or nothing."""
    if not MOUNTS.is_file():
        return ''
    rows = [line.split() for line in MOUNTS.read_text(errors='replace').splitlines()]
    over = [row for row in rows if len(row) > 3 and folder.resolve().is_relative_to(row[1].replace('\\040', ' '))]
    if not over or (found := max(over, key=lambda row: len(row[1])))[2] not in NETWORK:
        return ''
    return ', '.join(sorted(ALONE & set(found[3].split(','))))
