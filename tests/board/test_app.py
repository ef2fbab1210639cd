"""The board's application, called without a server."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from run_cases import config

from fastpong.board.library import Library
from fastpong.storage.run import Run

pytest.importorskip("starlette")


def test_a_viewer_who_left_before_the_stream_began_is_none(tmp_path: Path) -> None:
    from fastpong.board.app import make_app
    from fastpong.board.games import MOST_PLAYED

    names = [f"run{n}" for n in range(MOST_PLAYED + 1)]
    for name in names:
        Run.create(tmp_path / name, config()).close()
    app = make_app(Library(tmp_path), "127.0.0.1", lambda: True)
    statuses: list[int] = []

    async def ask(run: str, gone: bool) -> None:
        scope = {
            "type": "http", "method": "GET", "path": "/game", "raw_path": b"/game",
            "query_string": f"run={run}".encode(), "headers": [(b"host", b"localhost")],
            "root_path": "", "scheme": "http", "http_version": "1.1",
        }  # fmt: skip

        async def receive() -> dict[str, Any]:
            await asyncio.sleep(60)
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            if gone:
                raise OSError("the connection is gone")
            statuses.extend([message["status"]] if "status" in message else [])

        await app(scope, receive, send)

    for name in names[:-1]:
        with pytest.raises(BaseException):  # noqa: B017 - of the server library, by its version
            asyncio.run(ask(name, gone=True))
    asyncio.run(ask(names[-1], gone=False))
    assert statuses == [200]
