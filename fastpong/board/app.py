"""The board's answers to requests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from string import Template

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from fastpong.board.games import Games, Player, TooManyError
from fastpong.board.guard import App, Guard
from fastpong.board.library import Library
from fastpong.board.state import State
from fastpong.pages import read_asset
from fastpong.pages.html import escape
from fastpong.printable import printable

_POLL_SECONDS = 0.03
_EVENTS = "text/event-stream"


def make_app(library: Library, host: str, stopping: Callable[[], bool]) -> App:
    """Return the board as an ASGI application.

    host     : that it listens on
    stopping : whether streams have to end
    """
    page = Template(read_asset("board.html", __package__)).substitute(
        root=escape(printable(str(library.root)))
    )
    style = read_asset("style.css") + read_asset("board.css", __package__)
    script = read_asset("charts.js") + read_asset("board.js", __package__)
    answers = _Answers(library, stopping)
    routes = [
        Route("/", _text(page, "text/html")),
        Route("/board.css", _text(style, "text/css")),
        Route("/board.js", _text(script, "text/javascript")),
        Route("/state", answers.state),
        Route("/game", answers.game),
    ]
    return Guard(Starlette(routes=routes), host)


class _Answers:
    """Answer what changes."""

    def __init__(self, library: Library, stopping: Callable[[], bool]) -> None:
        self._library, self._stopping = library, stopping
        self._state, self._games = State(library), Games()

    def state(self, request: Request) -> Response:
        """Answer with the runs and charts, in a thread: files are read."""
        try:
            query = request.query_params
            told = self._state.tell(query.getlist("run"), query.get("axis", "steps"))
        except ValueError as error:
            return PlainTextResponse(f"{error}\n", 400)
        return JSONResponse(told)

    async def game(self, request: Request) -> Response:
        """Answer with a run's game, a stream of events."""
        run = self._library.runs().get(request.query_params.get("run", ""))
        if run is None:
            return PlainTextResponse("run: expected the name of a run of this board\n", 404)
        if request.method == "HEAD":
            return Response(media_type=_EVENTS)
        try:
            player = self._games.join(run)
        except TooManyError as error:
            return PlainTextResponse(f"{error}\n", 503)
        return _Stream(self._events(player), lambda: self._games.leave(run))

    async def _events(self, player: Player) -> AsyncIterator[str]:
        seen = 0
        while not self._stopping():
            number, text = player.latest
            if number != seen:
                seen = number
                yield f"data: {text}\n\n"
            await asyncio.sleep(_POLL_SECONDS)


class _Stream(StreamingResponse):
    """Send events, and call ``end`` afterwards, also if not even the first one was sent."""

    def __init__(self, events: AsyncIterator[str], end: Callable[[], None]) -> None:
        super().__init__(events, media_type=_EVENTS)
        self._end = end

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._end()


def _text(text: str, media_type: str) -> Callable[[Request], Response]:
    def answer(request: Request) -> Response:
        return Response(text, media_type=media_type)

    return answer
