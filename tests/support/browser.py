"""Headless Chromium, which looks at pages as people do."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_SECONDS = 60


def browser() -> str:
    """Return the browser's path, and skip the test without one."""
    found = next(filter(None, map(shutil.which, _NAMES)), None)
    if found is None:
        pytest.skip("no Chromium on the PATH: apt-get install chromium")
    return found


def look(
    url: str,
    *,
    width: int = 1200,
    height: int = 900,
    dark: bool = False,
    wait: float = 1.0,
    picture: Path | None = None,
) -> str:
    """Open a page and return its elements as HTML, after its scripts have run.

    wait    : seconds of the page's own time
    picture : of the page, PNG
    """
    command = [
        browser(), "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
        "--disable-background-networking", "--no-first-run", "--mute-audio",
        # A name is never looked up: what a page needs must be in it, or at a loopback address.
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        f"--window-size={width},{height}", f"--timeout={round(1000 * wait)}",
        f"--blink-settings=preferredColorScheme={0 if dark else 1}",
        "--screenshot=" + str(picture) if picture else "--dump-dom", url,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS)
    assert done.returncode == 0, done.stderr
    return done.stdout


def text_of(dom: str) -> str:
    """Return the words of a page, without those of its scripts and styles."""
    bare = re.sub(r"<(script|style)\b.*?</\1>", " ", dom, flags=re.S)
    return " ".join(re.sub(r"<[^>]+>", " ", bare).split())
