"""The board's server."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

from fastpong.board.idle import Idle
from fastpong.board.library import Library
from fastpong.extras import how_to_install, in_short
from fastpong.printable import printable

PORT = 2600
_END_SECONDS = 2  # for answers that are under way
_MOST_CONNECTIONS = 64


class BoardError(Exception):
    """Report a board that cannot be shown. The message says what to do."""


def serve(
    root: Path, host: str, port: int, tell: Callable[[str], None], stop: Callable[[], bool]
) -> None:
    """Show a board until SIGINT, SIGTERM or ``stop``.

    root : directory of runs, or a run
    host : address to listen on
    port : 0 for any that is free
    tell : is told the page's address, once it answers
    stop : whether to end, polled every second. It hears signals before the server does

    Raises BoardError without Starlette and uvicorn, a directory, or the port.
    """
    try:
        import starlette  # noqa: F401
        import uvicorn
    except Exception as error:  # a broken package's own
        raise BoardError(
            f"fastpong board needs Starlette and uvicorn ({in_short(error)}): "
            f"{how_to_install('board')}"
        ) from error
    if not root.is_dir():
        raise BoardError(
            f"{root}: expected a directory of runs, found none; train one first, or name another"
        )
    from fastpong.board.app import make_app

    with _listening(host, port) as listener:
        library = Library(root)
        address = f"{printable(str(library.root))}: {_address(listener)}  (Ctrl-C ends)"
        app = make_app(library, host, lambda: server.should_exit)
        told, idle = False, Idle()

        async def notice() -> None:
            nonlocal told
            server.should_exit |= stop()
            idle.end(server.server_state.connections)
            if not told and not server.should_exit:
                tell(address)
            told = True

        server = uvicorn.Server(
            uvicorn.Config(
                app, log_level="error", access_log=False, server_header=False, lifespan="off",
                proxy_headers=False, ws="none", timeout_graceful_shutdown=_END_SECONDS,
                limit_concurrency=_MOST_CONNECTIONS, callback_notify=notice, timeout_notify=0,
            )
        )  # fmt: skip
        if not stop():
            server.run(sockets=[listener])


def _listening(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        raise BoardError(
            f"--host {host} --port {port}: cannot listen there: {error}; name another port, or 0 "
            "for any that is free"
        ) from error


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/"
