"""Start tools in forks of this process, which has imported everything: a trial takes one second in place of six.

Nothing that trains may run in this process itself before: torch's threads do not survive a fork.
"""

from __future__ import annotations

import os
import runpy
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path

from mmsparse.analysis.campaigns.campaign import must
from mmsparse.utils.packaged import home

# What the tools import, once; the registries find the rest of the package when they are first asked.
for module in ('mmpretrain.models', 'mmpretrain.datasets', 'mmsparse.apis.load', 'mmsparse.engine.runner'):
    import_module(module)

LIMIT = 120  # seconds; what takes longer hangs
DEFAULT = (signal.SIGTERM, signal.SIGUSR1, signal.SIGALRM, signal.SIGPIPE, signal.SIGCHLD)


class Fork:
    """A call in a process of its own, of its own group, with the signals as a new process has them.

    Args:
        call: ends as a program does: by an exit status, a text or an exception.
        log: path without suffix of the two files for what it writes.
        environment: variables to set.
    """

    def __init__(self, call: Callable[[], object], log: Path, environment: dict[str, str] | None = None):
        self.files, self.status = [log.with_suffix(end) for end in ('.out', '.err')], None
        for stream in (sys.stdout, sys.stderr):
            stream.flush()  # else the fork writes it again
        self.number = os.fork()
        if not self.number:
            _become(call, self.files, environment or {})

    @property
    def out(self) -> str:
        """What it has written so far."""
        return self.files[0].read_text(errors='replace')

    @property
    def err(self) -> str:
        """What it has written to the stream of errors."""
        return self.files[1].read_text(errors='replace')

    def alive(self) -> bool:
        """Whether it has not ended."""
        if self.status is None:
            number, code = os.waitpid(self.number, os.WNOHANG)
            if number:
                self._ended(code)
        return self.status is None

    def send(self, number: int) -> None:
        """Send a signal to the process alone."""
        if self.alive():
            os.kill(self.number, number)

    def wait(self, limit: float = LIMIT) -> Fork:
        """Wait for the end.

        Raises:
            TimeoutError: it hangs; it is killed then.
        """
        end = time.monotonic() + limit
        while self.alive():
            if time.monotonic() > end:
                self.kill()
                raise TimeoutError(f'no end after {limit:.0f} s: {self.err[-500:]}')
            time.sleep(0.002)
        return self

    def kill(self) -> None:
        """Kill it and its workers, as ``kill -9`` does."""
        with suppress(ProcessLookupError):
            os.killpg(self.number, signal.SIGKILL)
        if self.status is None:
            self._ended(os.waitpid(self.number, 0)[1])

    def fine(self) -> Fork:
        """Wait for an end without a fault."""
        self.wait()
        must(self.status == 0, f'ended with {self.status}: {self.out[-300:]} {self.err[-1500:]}')
        return self

    def _ended(self, code: int) -> None:
        self.status = os.waitstatus_to_exitcode(code)
        with suppress(ProcessLookupError):  # workers that it has left
            os.killpg(self.number, signal.SIGKILL)


def tool(name: str, *args, log: Path, before: Callable[[], object] = lambda: None, **environment: str) -> Fork:
    """Start ``python tools/NAME ARGS`` in a fork.

    Args:
        name, args: of the tool.
        log: as for `Fork`.
        before: called in the fork first: puts the fault in its place.
        environment: variables to set.
    """

    def call():
        before()
        sys.argv = [f'tools/{name}', *map(str, args)]
        runpy.run_path(str(home() / 'tools' / name), run_name='__main__')

    return Fork(call, log, environment)


def processes(number: int, name: str, *args, log: Path, before: Callable[[], object] = lambda: None) -> list[Fork]:
    """Start a tool as torchrun does, in as many processes; one is none of a group."""
    if number == 1:
        return [tool(name, *args, log=log, before=before)]
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = str(free.getsockname()[1])
    group = dict(WORLD_SIZE=str(number), MASTER_ADDR='127.0.0.1', MASTER_PORT=port)
    ranks = [dict(group, RANK=str(rank), LOCAL_RANK=str(rank)) for rank in range(number)]
    return [
        tool(name, *args, '--launcher', 'pytorch', log=Path(f'{log}_{rank["RANK"]}'), before=before, **rank)
        for rank in ranks
    ]


def ends(forks: Sequence[Fork]) -> list[int]:
    """Wait for several; return their statuses."""
    return [fork.wait().status for fork in forks]


def _become(call: Callable[[], object], files: list[Path], environment: dict[str, str]) -> None:
    status = 1
    try:
        os.setsid()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for number in DEFAULT:
            signal.signal(number, signal.SIG_DFL)
        signal.alarm(0)
        os.environ.update(environment)
        for stream, file in enumerate(files, start=1):
            os.dup2(os.open(file, os.O_CREAT | os.O_WRONLY | os.O_APPEND), stream)
        sys.stdout, sys.stderr = (os.fdopen(stream, 'w', 1) for stream in (1, 2))
        try:
            call()
            status = 0
        except SystemExit as end:
            if isinstance(end.code, str):
                sys.stderr.write(f'{end.code}\n')
            status = end.code if isinstance(end.code, int) else int(end.code is not None)
        except BaseException:
            traceback.print_exc()
    finally:
        with suppress(Exception):
            sys.stdout.flush(), sys.stderr.flush()
        os._exit(status)
