"""The fork server: a process that imports once, and forks workers.

It is ours and not multiprocessing's. That one listens at a name in the temporary directory, which
may be too long and is left behind by a SIGKILL. It tells of no death while it is stopped, or where
SIGCHLD is blocked, its client waits without a timeout, and it needs a resource tracker beside it.

Client and server share a socket pair without a name. Requests are answered in their order. A child
is waited for only when the client asks, so its process id stays its own until then.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing import context, reduction, spawn
from multiprocessing.connection import Connection
from typing import Any

from fastpong.runtime import signals
from fastpong.runtime.forking import ALIVE, ANSWER, FORK, REQUEST, STATUS
from fastpong.runtime.interpreter import python_command
from fastpong.runtime.parent import hung_up, in_lasting_thread
from fastpong.runtime.worker import Passed

PRELOAD = ("fastpong.runtime.pool", "fastpong.runtime.sharedmem")
"""Modules that every worker needs."""

_END_SECONDS, _BUSY_SECONDS = 1.0, 10.0
_PAUSE, _LEAST_SECONDS = 0.001, 0.25


@dataclass
class _Answer:
    value: int | None = None


class ForkServer:
    """Launch a fork server, and ask it for processes.

    Returns without waiting for it: imports of the server and of the caller run side by side. The
    server ends with this process.

    preload     : modules to import there
    environment : variables of the server and of all its children, besides ours
    """

    def __init__(self, preload: Sequence[str], environment: Mapping[str, str]) -> None:
        ours, theirs = socket.socketpair()
        command = python_command(
            f"from fastpong.runtime.forking import serve; serve({theirs.fileno()}, {[*preload]!r})"
        )

        def launch() -> subprocess.Popen[bytes]:
            with signals.held():
                return subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    pass_fds=[theirs.fileno()],
                    env={**os.environ, **environment},
                )

        with theirs:
            process = in_lasting_thread(launch)
        self._control, self._lock = ours, threading.Lock()
        self._unanswered: deque[_Answer] = deque()
        self.kill = weakref.finalize(self, _end, ours, process, os.getpid())

    @property
    def alive(self) -> bool:
        """Return whether it can be asked."""
        return self.kill.alive and not hung_up(self._control.fileno())

    def start(
        self,
        target: Callable[..., object],
        arguments: tuple[object, ...],
        ours: Connection,
        theirs: Connection,
    ) -> Served:
        """Start a process that calls ``target(connection, *arguments)``.

        Returns without waiting for it.

        ours, theirs : the ends of its connection
        arguments    : picklable, or shareable at a process's start

        Raises TypeError when they are not, OSError when the server cannot be asked.
        """
        packing = _Packing()
        messages = packing.pack(target, arguments)
        descriptors = [theirs.fileno(), *packing.descriptors]
        served = Served(self, self._ask(FORK, len(descriptors), descriptors))
        if sys.platform == "darwin":
            # It closes descriptors under way that their sender closes, as multiprocessing knows.
            served.wait_for_pid(_BUSY_SECONDS)
        for message in messages:
            ours.send_bytes(message)
        return served

    def answer(self, answer: _Answer, timeout: float, patient: bool = True) -> int | None:
        """Return an answer, None if it does not come in time.

        patient : a server that is late is left alone. Else it is killed, and all its children
        """
        deadline = time.monotonic() + timeout
        if answer.value is None and self._lock.acquire(timeout=max(timeout, 0.0)):
            try:
                while answer.value is None and self.kill.alive:
                    self._control.settimeout(max(deadline - time.monotonic(), 1e-6))
                    read = self._control.recv(ANSWER.size)
                    if len(read) < ANSWER.size:
                        break
                    (self._unanswered.popleft().value,) = ANSWER.unpack(read)
            except OSError:  # it is late, or has ended
                if not patient:
                    self.kill()
            except BaseException:  # an answer may be half read
                self.kill()
                raise
            finally:
                self._lock.release()
        return answer.value

    def status(self, pid: int, timeout: float, patient: bool = False) -> int | None:
        """Return the exit code of a child, or ``ALIVE``, None as ``answer`` does."""
        try:
            return self.answer(self._ask(STATUS, pid), timeout, patient)
        except OSError:
            return None

    def _ask(self, command: bytes, number: int, descriptors: Sequence[int] = ()) -> _Answer:
        while True:
            try:
                return self._send(REQUEST.pack(command, number), descriptors)
            except OSError as error:
                # Descriptors under way count, and there may be no more of them than open files.
                if error.errno != errno.ETOOMANYREFS or not self._unanswered:
                    raise
                self.answer(self._unanswered[-1], _BUSY_SECONDS)

    def _send(self, request: bytes, descriptors: Sequence[int]) -> _Answer:
        if not self._lock.acquire(timeout=_BUSY_SECONDS):
            raise TimeoutError(errno.ETIMEDOUT, "the fork server is being asked by another thread")
        try:
            if not self.kill.alive:
                raise BrokenPipeError(errno.EPIPE, "the fork server has ended")
            self._control.settimeout(_END_SECONDS)
            socket.send_fds(self._control, [request], descriptors)
            self._unanswered.append(answer := _Answer())
            return answer
        except BaseException as error:
            if not (isinstance(error, OSError) and error.errno == errno.ETOOMANYREFS):
                self.kill()  # nobody knows whether the request has arrived
            raise
        finally:
            self._lock.release()


class Served:
    """Hold a process that a fork server started.

    It does what the supervisor asks of multiprocessing's, too.

    exitcode : as there, None while it is not known
    """

    def __init__(self, server: ForkServer, forked: _Answer) -> None:
        self._server, self._forked = server, forked
        self.exitcode: int | None = None
        self._doomed = False

    @property
    def pid(self) -> int | None:
        """Return its process id, once the server has told it. None if it does not."""
        return self.wait_for_pid(_BUSY_SECONDS)

    def wait_for_pid(self, timeout: float, patient: bool = True) -> int | None:
        """Return its process id, None if the server does not tell it in time."""
        pid = self._server.answer(self._forked, timeout, patient)
        return pid if pid is not None and pid > 0 else None

    @property
    def failure(self) -> str | None:
        """Explain why it was not started or why nothing is known of its end, if that is so."""
        if self._forked.value is not None and self._forked.value < 0:
            return os.strerror(-self._forked.value)
        return None if self._server.alive else "it ended with the fork server"

    def kill(self) -> None:
        """Kill it, at once or as soon as ``join`` learns its process id."""
        self._doomed = True
        # The id is its own until it is waited for, as long as the server lives.
        if self.exitcode is None and self._server.alive and (pid := self.wait_for_pid(0.0)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def join(self, timeout: float, patient: bool = False) -> None:
        """Wait for its end, after which ``exitcode`` is known.

        A server that gives no answer in this time is killed, and all its children with it, unless
        ``patient``.
        """
        deadline = time.monotonic() + timeout
        while self.exitcode is None and self._server.alive:
            left = max(deadline - time.monotonic(), 0.0 if patient else _LEAST_SECONDS)
            pid = self.wait_for_pid(left, patient)
            code = None if pid is None else self._server.status(pid, left, patient)
            if code is None:
                return
            if code != ALIVE:
                self.exitcode = code
            elif time.monotonic() >= deadline:
                return
            else:
                if self._doomed:
                    self.kill()
                time.sleep(_PAUSE)

    def close(self) -> None:
        """Do nothing: it holds no descriptors."""


class _Packing:
    """Pickle what a process is to do, and collect the descriptors that it needs for that."""

    DupFd = Passed

    def __init__(self) -> None:
        self.descriptors: list[int] = []

    def duplicate_for_child(self, descriptor: int) -> int:
        self.descriptors.append(descriptor)
        return len(self.descriptors) - 1

    def pack(self, target: Callable[..., object], arguments: tuple[object, ...]) -> list[Any]:
        context.set_spawning_popen(self)  # type: ignore[arg-type]  # all that picklers ask of it
        try:
            dumps = reduction.ForkingPickler.dumps
            return [dumps(spawn.get_preparation_data("worker")), dumps((target, arguments))]
        finally:
            context.set_spawning_popen(None)


_current: ForkServer | None = None
_current_lock = threading.Lock()


def fork_server(preload: Sequence[str], environment: Mapping[str, str]) -> ForkServer:
    """Return this process's fork server, which is launched if there is none.

    Of one that runs, both arguments are without effect.
    """
    global _current
    with _current_lock:
        if _current is None or not _current.alive:
            if _current is not None:
                _current.kill()
            _current = ForkServer([*PRELOAD, *preload], environment)
        return _current


def _forget() -> None:
    """Leave the server to the process that launched it, in a forked copy of that."""
    global _current, _current_lock
    _current_lock = threading.Lock()
    if _current is not None:
        _current.kill()
        _current = None


os.register_at_fork(after_in_child=_forget)


def _end(control: socket.socket, process: subprocess.Popen[bytes], owner: int) -> None:
    control.close()
    if os.getpid() == owner:
        process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_END_SECONDS)
