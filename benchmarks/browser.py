"""Headless Chromium, told what to do by its own protocol over a pipe. No library is needed.

Names are never looked up: what a page needs must be in it, or at 127.0.0.1. Source of the commands:
"Chrome DevTools Protocol", domains Target, Page, Runtime, Network and Emulation.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Self

NAMES = ("chromium", "chromium-browser", "google-chrome")
MISSING = "no Chromium on the PATH: apt-get install chromium"
_SECONDS = 60.0


def find() -> str | None:
    """Return the path of a browser, None without one."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    """Run a browser. A context manager, which ends it."""

    def __init__(self) -> None:
        path = find()
        if path is None:
            raise FileNotFoundError(MISSING)
        self._profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        reads, self._out = _pipe()
        self._in, writes = _pipe()
        command = [
            path, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
            "--no-first-run", "--disable-background-networking", "--mute-audio",
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
            f"--user-data-dir={self._profile.name}", "--remote-debugging-pipe", "about:blank",
        ]  # fmt: skip
        # It reads commands from 3 and writes answers to 4.
        script = f'exec "$@" 3<&{reads} 4>&{writes}'
        self._process = subprocess.Popen(
            ["bash", "-c", script, "bash", *command], pass_fds=(reads, writes),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(reads)
        os.close(writes)
        self._number, self._read = 0, b""
        self.tabs: dict[str, Tab] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        for end in (self._in, self._out):
            os.close(end)
        self._profile.cleanup()

    def open(self, url: str, width: int, height: int, *, dark: bool = False) -> Tab:
        """Open a page as a window of a size shows it, and wait until it is loaded."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        found = self.call("Target.attachToTarget", targetId=target, flatten=True)
        tab = self.tabs[found["sessionId"]] = Tab(self, found["sessionId"])
        for domain in ("Page", "Network", "Runtime", "Log"):
            tab.call(f"{domain}.enable")
        tab.call("Emulation.setDeviceMetricsOverride", width=width, height=height,
                 deviceScaleFactor=1, mobile=width < 600)  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        tab.call("Emulation.setEmulatedMedia", features=[scheme])
        tab.call("Page.navigate", url=url)
        tab.wait("document.readyState === 'complete' && location.href !== 'about:blank'")
        return tab

    def call(self, method: str, session: str | None = None, **given: object) -> dict[str, Any]:
        """Send a command and return its result.

        Raises RuntimeError for an error, TimeoutError without an answer.
        """
        self._number += 1
        message = {"id": self._number, "method": method, "params": given}
        message |= {"sessionId": session} if session else {}
        os.write(self._out, json.dumps(message).encode() + b"\0")
        ends = time.monotonic() + _SECONDS
        while True:
            answer = self._next(ends)
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return dict(answer["result"])
            tab = self.tabs.get(answer.get("sessionId", ""))
            if tab is not None and "method" in answer:
                tab.hear(answer["method"], answer["params"])

    def _next(self, ends: float) -> dict[str, Any]:
        while b"\0" not in self._read:
            left = ends - time.monotonic()
            if left <= 0 or not select.select([self._in], [], [], left)[0]:
                raise TimeoutError(f"no answer of the browser within {_SECONDS:.0f} s")
            data = os.read(self._in, 1 << 16)
            if not data:
                raise RuntimeError("the browser ended")
            self._read += data
        line, _, self._read = self._read.partition(b"\0")
        return dict(json.loads(line))


class Tab:
    """Hold an open page.

    requests : addresses that it asked for, itself first, without data: ones
    errors   : of its scripts, and what it was forbidden to load
    """

    def __init__(self, browser: Browser, session: str) -> None:
        self._browser, self._session = browser, session
        self.requests: list[str] = []
        self.errors: list[str] = []

    def call(self, method: str, **given: object) -> dict[str, Any]:
        """Send the page a command."""
        return self._browser.call(method, self._session, **given)

    def hear(self, method: str, given: dict[str, Any]) -> None:
        """Take note of an event."""
        if method == "Network.requestWillBeSent":
            url = given["request"]["url"]
            self.requests += [url] if not url.startswith("data:") else []
        elif method == "Runtime.exceptionThrown":
            self.errors.append(str(given["exceptionDetails"]))
        elif method == "Log.entryAdded" and given["entry"]["level"] == "error":
            self.errors.append(given["entry"]["text"])

    def value(self, expression: str) -> Any:
        """Return the value of an expression of JavaScript."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        if "exceptionDetails" in found:
            raise RuntimeError(f"{expression}: {found['exceptionDetails']}")
        return found["result"].get("value")

    def wait(self, expression: str, seconds: float = _SECONDS) -> Any:
        """Wait until an expression is true, and return its value.

        Raises TimeoutError.
        """
        ends = time.monotonic() + seconds
        while not (found := self.value(expression)):
            if time.monotonic() > ends:
                raise TimeoutError(f"not within {seconds:g} s: {expression}")
            time.sleep(0.05)
        return found

    @property
    def text(self) -> str:
        """Return the words of the page."""
        return " ".join(str(self.value("document.body.innerText")).split())

    def picture(self, path: Path, *, whole: bool = False) -> None:
        """Write a picture of the page, PNG.

        whole : with what lies below the window, too
        """
        found = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(found["data"]))


def _pipe() -> tuple[int, int]:
    """Return a pipe whose ends are not among the first descriptors."""
    low = os.pipe()
    high = tuple(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in low)
    for end in low:
        os.close(end)
    return high[0], high[1]
