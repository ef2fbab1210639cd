"""What every request must be, before anything is done for it.

A page of another site may send requests to 127.0.0.1, too. It may not read the answers, unless its
name was made to point here (DNS rebinding): then the browser sends that name as Host.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

METHODS = ("GET", "HEAD")

_HOST = re.compile(r"(?:\[([0-9a-fA-F:.]+)\]|([^:\[\]]+))(?::\d+)?")

_HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}


class Guard:
    """Answer only requests that read, name this machine, and are of no other site.

    host : that the board listens on
    """

    def __init__(self, app: App, host: str) -> None:
        self._app, self._host = app, host

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            return
        send = _with_headers(send)
        hosts = [value for name, value in scope["headers"] if name == b"host"]
        host = hosts[0].decode("latin-1") if len(hosts) == 1 else ""
        if not is_this_machine(host, self._host):
            text = f"expected this machine's address or name as Host, got {host[:100]!r}\n"
            await _refuse(send, 403, text)
        elif _is_of_another_site(scope):
            await _refuse(send, 403, "the board answers no page of another site\n")
        elif scope["method"] not in METHODS:
            await _refuse(send, 405, "the board only reads: expected GET or HEAD\n")
        else:
            await self._app(scope, receive, send)


def is_this_machine(host: str, listens_on: str) -> bool:
    """Return whether a request's Host names this machine.

    host       : the header, with or without a port
    listens_on : address that the board listens on

    On the loopback these are its addresses and localhost. Elsewhere any address, for one cannot be
    made to point to another, and the machine's own name.
    """
    found = _HOST.fullmatch(host)
    name = (found[1] or found[2]).lower() if found else ""
    loopback = is_loopback(listens_on)
    try:
        return ipaddress.ip_address(name).is_loopback or not loopback
    except ValueError:
        names = {"localhost", *([] if loopback else [socket.gethostname().lower()])}
        return name in names | {listens_on.lower()}


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _is_of_another_site(scope: Message) -> bool:
    """Return whether another site's page asks, except to show the board's page by a link."""
    headers = {name: value for name, value in scope["headers"] if name.startswith(b"sec-fetch-")}
    if headers.get(b"sec-fetch-site", b"none") in (b"none", b"same-origin"):
        return False
    return scope["path"] != "/" or headers.get(b"sec-fetch-dest") != b"document"


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            own = [(name.encode(), value.encode()) for name, value in _HEADERS.items()]
            message["headers"] = [*message.get("headers", []), *own]
        await send(message)

    return sending


async def _refuse(send: Send, status: int, text: str) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    headers += [(b"content-length", str(len(text.encode())).encode())]
    headers += [(b"allow", ", ".join(METHODS).encode())] if status == 405 else []
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text.encode()})
