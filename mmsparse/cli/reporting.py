"""How a tool ends: bad input and Ctrl-C in one message each, everything else with its traceback."""

import errno
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from mmsparse.errors import InputError, Interrupted, StorageError
from mmsparse.utils.dependencies import SOMETIMES, not_installed

LIBRARIES = ('mmcv', 'mmengine', 'mmpretrain', 'mmseg', 'mmsparse', 'torch')


@contextmanager
def reporting(interrupted: Callable[[], str]) -> Iterator[None]:
    """Run a tool: InputError ends with status 2 (a full disk with 74), a stop behind a saved step with 75, Ctrl-C with
    130.

    Args:
        interrupted: gives the text that tells how to go on after Ctrl-C.
    """
    rank = int(os.environ.get('RANK', 0))
    tool = Path(sys.argv[0]).name
    try:
        with _said():
            yield
    except InputError as error:
        # A data loader's worker sends its whole traceback as the text.
        text = str(error).rsplit('InputError: ', 1)[-1].strip()
        if rank == 0:
            sys.stderr.write(f'{tool}: error: {text}\n')
        elif _connected():  # before that every process has read the same options, and one may speak for all
            sys.stderr.write(f'{tool}: error in process {rank}: {text}\n')
        sys.exit(error.status)
    except Interrupted as stop:
        if rank == 0:
            sys.stderr.write(f'\n{tool}: stopped by {stop} {interrupted()}\n')
        sys.exit(stop.status)
    except KeyboardInterrupt:
        if rank == 0:
            sys.stderr.write(f'\n{tool}: stopped. {interrupted()}\n')
        sys.exit(130)
    if _connected():
        sys.modules['torch'].distributed.destroy_process_group()


@contextmanager
def _said() -> Iterator[None]:
    """Say in one sentence what no program can mend: a missing package, a full disk, a port in use."""
    try:
        yield
    except InputError:
        raise
    except ModuleNotFoundError as error:
        if error.name not in SOMETIMES:  # a module of the user's, or a fault of ours
            raise
        raise InputError(not_installed(error.name)) from error
    except (OSError, RuntimeError, ValueError) as error:
        told = str(error)
        # safetensors hands the words on without a number; torch's stores have errors of their own.
        if getattr(error, 'errno', None) in (errno.ENOSPC, errno.EDQUOT) or 'No space left on device' in told:
            raise StorageError(
                f'{told}: the disk is full. Make room, or name another --work-dir or --out; --resume goes on from the '
                'last state.'
            ) from error
        if 'EADDRINUSE' in told or 'address already in use' in told.lower():
            port = os.environ.get('MASTER_PORT', 'the port')
            raise InputError(
                f'MASTER_PORT {port}: another process has it. Set PORT to a free one for tools/dist_*.sh, or leave it '
                'out.'
            ) from error
        if part := _refused_part(error):
            raise part from error
        raise
    except (AssertionError, AttributeError, ImportError, LookupError, TypeError) as error:
        if part := _refused_part(error):
            raise part from error
        raise


def _refused_part(error: Exception) -> InputError | None:
    """Name the part of a config whose class, if a library's, refused its values in its own words."""
    told = None
    for frame, _ in traceback.walk_tb(error.__traceback__):
        part = frame.f_locals.get('obj_cls')
        if frame.f_code.co_name in ('build_from_cfg', 'build_scheduler_from_cfg') and part is not None:
            package = getattr(part, '__module__', '').split('.')[0]
            name = getattr(part, '__name__', str(part))
            given = ', '.join(
                f'{key}={value!r}'
                for key, value in frame.f_locals['args'].items()
                if isinstance(value, str | int | float | tuple | list)
            )
            reason = ' '.join(str(error).split()) or type(error).__name__
            told = (
                f'{name}: received {given[:200] or "no plain values"}, which it refuses: {reason}. Correct this part '
                'of the config.'
            )
            told = told if package in LIBRARIES else None
    return InputError(told) if told else None


def _connected() -> bool:
    """Whether there are several processes; without torch there are none, and it takes a second to import."""
    return 'torch' in sys.modules and sys.modules['torch'].distributed.is_initialized()
