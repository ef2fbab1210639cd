"""Make the pictures of the report and the board in docs/figures, by headless Chromium.

    python benchmarks/page_pictures.py -o docs/figures

trains the recipe pong twice, with the board beside the second training, and writes board.png,
board-phone.png, report.png and report-dark.png.
"""

from __future__ import annotations

import argparse
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from browser import Browser
from measure import fastpong_command, plain_environment

BESIDE_SECONDS = 9.0
"""Of the second training, before the board's pictures."""

SHOWN = """
document.querySelectorAll('#returns polyline').length == 2
&& document.getElementById('screen').src !== '' && parseInt(document.getElementById('score')
.innerText.match(/\\d+/g)[1]) > 0
"""


def look(
    browser: Browser, url: str, picture: Path, size: tuple[int, int], *, dark: bool = False
) -> None:
    """Write a picture of a page, with 128 colours."""
    from PIL import Image

    tab = browser.open(url, *size, dark=dark)
    if "#" in url:
        tab.wait(SHOWN)
        tab.value("document.querySelector('header code').textContent = '/home/me/runs'")
    else:
        tab.wait("document.querySelector('video') === null || "
                 "document.querySelector('video').currentTime > 3")  # fmt: skip
    tab.picture(picture)
    tab.call("Page.navigate", url="about:blank")
    with Image.open(picture) as image:
        image.convert("RGB").quantize(128).save(picture, optimize=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("-o", "--output", type=Path, required=True)
    output = parser.parse_args().output.resolve()
    command, environment = fastpong_command(), plain_environment()
    with tempfile.TemporaryDirectory() as directory, Browser() as browser:
        home = Path(directory)
        train = [*command, "train", "--recipe", "pong", "--save-every", "25", "--no-progress"]
        train += ["--eval-every", "50", "--eval-episodes", "20"]

        def start(*arguments: str) -> subprocess.Popen[str]:
            return subprocess.Popen(
                arguments, cwd=home, env=environment, text=True, stdout=subprocess.PIPE
            )

        def run(*arguments: str) -> None:
            subprocess.run(arguments, cwd=home, env=environment, check=True, stdout=sys.stderr)

        run(*train, "--run-dir", "runs/seed-0")
        board = start(*command, "board", "--port", "0")
        assert board.stdout is not None
        address = re.search(r"http://\S+", board.stdout.readline())
        assert address is not None
        training = start(*train, "--seed", "1", "--until", "21", "--run-dir", "runs/seed-1")
        time.sleep(BESIDE_SECONDS)
        shown = address[0] + "#run=seed-1&run=seed-0&game=seed-1&axis=time"
        look(browser, shown, output / "board.png", (1200, 820))
        look(browser, shown, output / "board-phone.png", (390, 1330), dark=True)
        for process, number in ((training, signal.SIGTERM), (board, signal.SIGINT)):
            process.send_signal(number)
            process.communicate()
        run(*command, "report", "runs/seed-0", "-o", "report.html")
        report = (home / "report.html").as_uri()
        look(browser, report, output / "report.png", (1000, 1180))
        look(browser, report, output / "report-dark.png", (390, 1330), dark=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
