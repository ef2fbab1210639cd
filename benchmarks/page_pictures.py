"""Make the pictures of the report and the board in docs/figures, by headless Chromium.

    python benchmarks/page_pictures.py -o docs/figures

trains the recipe pong twice, with the board beside the second training, and writes board.png,
board-phone.png, report.png and report-dark.png.
"""

from __future__ import annotations

import argparse
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measure import fastpong_command, plain_environment

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
TRAINED_SECONDS = 14.0


def look(url: str, picture: Path, width: int, height: int, *, dark: bool = False) -> None:
    """Write a picture of a page."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        sys.exit("expected Chromium on the PATH: apt-get install chromium")
    command = [
        found, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
        f"--window-size={width},{height}", "--timeout=5000", f"--screenshot={picture}",
        f"--blink-settings=preferredColorScheme={0 if dark else 1}", url,
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    shrink(picture)


def shrink(picture: Path) -> None:
    """Store a picture with 128 colours."""
    from PIL import Image

    with Image.open(picture) as image:
        image.convert("RGB").quantize(128).save(picture, optimize=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("-o", "--output", type=Path, required=True)
    output = parser.parse_args().output.resolve()
    command, environment = fastpong_command(), plain_environment()
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory)
        train = [*command, "train", "--recipe", "pong", "--save-every", "25"]

        def run(*arguments: str) -> None:
            subprocess.run(arguments, cwd=home, env=environment, check=True)

        run(*train, "--run-dir", "runs/seed-0")
        board = subprocess.Popen(
            [*command, "board", "--port", "0"], cwd=home, env=environment,
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert board.stdout is not None
        address = re.search(r"http://\S+", board.stdout.readline())
        assert address is not None
        again = [*train, "--seed", "1", "--run-dir", "runs/seed-1"]
        training = subprocess.Popen(again, cwd=home, env=environment)
        time.sleep(TRAINED_SECONDS)
        shown = address[0] + "#run=seed-1&run=seed-0&game=seed-1&axis=time"
        look(shown, output / "board.png", 1200, 760)
        look(shown, output / "board-phone.png", 500, 1400)
        training.wait()
        board.send_signal(signal.SIGINT)
        board.wait()
        run(*command, "report", "runs/seed-0", "-o", "report.html")
        look(f"file://{home}/report.html", output / "report.png", 1000, 1250)
        look(f"file://{home}/report.html", output / "report-dark.png", 1000, 1250, dark=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
