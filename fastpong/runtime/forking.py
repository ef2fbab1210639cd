"""The fork server's side: import once, then fork a process for every request.

``forkserver.py`` is its client, and explains both.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import os
import signal
import socket
import struct
import sys
import traceback
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import NoReturn

from fastpong.runtime import signals
from fastpong.runtime.parent import die_with_parent, hung_up
from fastpong.runtime.worker import enter

FORK, STATUS = b"F", b"S"
"""Requests: of a new process, with the number of its descriptors, and of a child's exit code."""

REQUEST, ANSWER = struct.Struct("=cq"), struct.Struct("=q")
"""A request and its number, and the answer: a process id or minus an error's number, or a code."""

ALIVE = 1 << 16
"""Answer about a child that has no exit code yet."""

_MOST_DESCRIPTORS = 253  # Linux takes no more in a message


def serve(descriptor: int, preload: Sequence[str]) -> None:
    """Import modules, then fork a process for every request until the client is gone."""
    control = socket.socket(fileno=descriptor)
    signals.reset()
    die_with_parent()
    for name in preload:
        if hung_up(descriptor):
            break
        with contextlib.suppress(Exception):  # a worker that needs it reports that
            importlib.import_module(name)
    children: set[int] = set()
    with contextlib.suppress(OSError):
        while (request := _receive(control)) is not None:
            control.sendall(ANSWER.pack(_obey(control, children, *request)))
    for pid in children:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    os._exit(0)


def _receive(control: socket.socket) -> tuple[bytes, int, list[int]] | None:
    flags = getattr(socket, "MSG_CMSG_CLOEXEC", 0)
    data, descriptors, _, _ = socket.recv_fds(control, REQUEST.size, _MOST_DESCRIPTORS, flags)
    if len(data) < REQUEST.size:
        return None
    return *REQUEST.unpack(data), descriptors


def _obey(
    control: socket.socket, children: set[int], command: bytes, number: int, descriptors: list[int]
) -> int:
    """Return the answer to a request: a process id, or minus an error's number, or an exit code."""
    if command == STATUS:
        return _exit_code(children, number)
    try:
        if len(descriptors) < number:
            return -errno.EMFILE  # no room for all of them here
        pid = os.fork()
    except OSError as error:
        return -(error.errno or errno.EAGAIN)
    else:
        if pid == 0:
            _be_child(control, descriptors)
        children.add(pid)
        return pid
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def _exit_code(children: set[int], pid: int) -> int:
    try:
        ended, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:  # asked before
        return 0
    if not ended:
        return ALIVE
    children.discard(pid)
    return os.waitstatus_to_exitcode(status)


def _be_child(control: socket.socket, descriptors: list[int]) -> NoReturn:
    code = 1
    try:
        die_with_parent()
        control.close()
        connection = Connection(descriptors[0])
        enter(connection, descriptors[1:])
        code = 0
    except EOFError:  # the parent gave it up before it had begun
        pass
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)
