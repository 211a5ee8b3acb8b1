"""A state appears whole under its name, or not at all, whenever the process is killed."""

from __future__ import annotations

import errno
import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from mmsparse.errors import InputError, StorageError

TENSORS, CARD = 'adapter.safetensors', 'adapter.json'
RESUME_TENSORS, RESUME = 'resume.safetensors', 'resume.json'
FILES = frozenset({TENSORS, CARD, RESUME_TENSORS, RESUME})
POINTER = 'last_checkpoint'
INTERRUPTED = 'interrupted'  # the state of a run that was asked to stop
LOCK = '.lock'
BEGUN = '.begun'  # its time is when torchrun first started the job that writes here
DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.EIO, errno.ESTALE})


@contextmanager
def whole(target: Path) -> Iterator[Path]:
    """Give a temporary folder to write into. It is renamed to the target then; an older state of that name goes."""
    writing, replaced = _beside(target, 'writing'), _beside(target, 'replaced')
    tidy(target.parent)
    writing.mkdir(parents=True)
    try:
        yield writing
        for file in (*writing.iterdir(), writing):
            _flush(file)
    except OSError:
        # on a full disk the half of a state is in the way of everything else
        shutil.rmtree(writing, ignore_errors=True)
        raise
    if target.exists():
        target.rename(replaced)  # killed between here and the next line, `tidy` gives the name back
    writing.rename(target)
    _flush(target.parent)
    if replaced.exists():
        remove(replaced)


def remove(folder: Path) -> None:
    """Remove a state, but no folder with anything else in it. Its name goes first: no half of it is ever found."""
    if folder.is_dir() and not folder.is_symlink() and {file.name for file in folder.iterdir()} <= FILES:
        removed = _beside(folder, 'removed')
        shutil.rmtree(removed, ignore_errors=True)
        folder.rename(removed)
        shutil.rmtree(removed, ignore_errors=True)  # what a share still holds open, `tidy` removes later


def tidy(work_dir: Path) -> None:
    """Clean up after a run that was killed in the middle of `whole` or `remove`."""
    for replaced in work_dir.glob('.*.replaced'):
        name = replaced.with_name(replaced.name[1:].removesuffix('.replaced'))
        if not name.exists():
            replaced.rename(name)
    for kind in ('writing', 'replaced', 'removed'):
        for leftover in work_dir.glob(f'.*.{kind}'):
            if leftover.is_dir() and {file.name for file in leftover.iterdir()} <= FILES:
                shutil.rmtree(leftover)
    (work_dir / f'.{POINTER}.writing').unlink(missing_ok=True)


@contextmanager
def writing_to(work_dir: str | None) -> Iterator[None]:
    """Raise an InputError for a full disk, and for a run's folder that has gone or cannot be written."""
    try:
        yield
    except OSError as error:
        inside = (
            error.filename
            and work_dir
            and Path(os.path.abspath(str(error.filename))).is_relative_to(os.path.abspath(work_dir))
        )
        if error.errno not in DISK and not inside:
            raise
        raise StorageError(
            f'{work_dir}: cannot be written to ({error}). The states in it are whole: make room or mend the folder, '
            'then go on with --resume.'
        ) from error


@contextmanager
def alone_in(work_dir: str) -> Iterator[None]:
    """Let no second run write into a folder; the lock goes with the process that holds it, however that ends.

    Raises:
        InputError: another run has it.
    """
    folder = Path(work_dir)
    folder.mkdir(parents=True, exist_ok=True)
    lock, owner = FileLock(folder / LOCK), folder / f'{LOCK}.owner'
    try:
        lock.acquire(timeout=0)
    except NotImplementedError:  # some network shares know no locks
        yield
        return
    except Timeout as error:
        who = owner.read_text() if owner.is_file() else 'of another process'
        raise InputError(
            f'{work_dir}: a run ({who}) is writing into it. Wait for it, stop it, or name another --work-dir.'
        ) from error
    try:
        owner.write_text(f'process {os.getpid()} on {socket.gethostname()}')
        yield
    finally:
        owner.unlink(missing_ok=True)
        lock.release()


def states(work_dir: Path) -> list[Path]:
    """Return the folders of states to resume from, here and where last_checkpoint points to; nothing is read yet."""
    pointer = work_dir / POINTER
    named = os.path.dirname(pointer.read_text(errors='replace').strip()) if pointer.is_file() else ''
    places = {work_dir, Path(named)} if os.path.isabs(named) and os.path.isdir(named) else {work_dir}
    found = [folder for place in places for folder in place.glob('*') if (folder / RESUME).is_file()]
    # With a dot in front stands only a state that was being replaced when the process was killed.
    return [folder for folder in found if not folder.name.startswith('.') or folder.name.endswith('.replaced')]


def point(work_dir: Path, target: Path) -> None:
    """Write a state's path into last_checkpoint."""
    write_whole(work_dir / POINTER, str(target.absolute()))


def write_whole(file: Path, text: str) -> None:
    """Write a file by a rename, so that it is never half written."""
    writing = _beside(file, 'writing')
    writing.write_text(text)
    _flush(writing)
    writing.replace(file)
    _flush(file.parent)


def _beside(target: Path, kind: str) -> Path:
    return target.with_name(f'.{target.name}.{kind}')


def _flush(path: Path) -> None:
    """Bring a file to the disk, and a folder where it goes: network shares and Windows order renames themselves."""
    folder = path.is_dir()
    try:
        descriptor = os.open(path, os.O_RDONLY if folder else os.O_RDWR)  # Windows flushes only what can be written
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError:
        if not folder:
            raise
