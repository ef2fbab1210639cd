"""The report and the board as people see them: in headless Chromium."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import browser as driver
import pytest
from boards import showing
from commands import fastpong, inside, rows, training
from waiting import PATIENCE

WIDTHS = (390, 1200)
SETTINGS = {
    "karpathy": ("--hidden", 16, "--batch-size", 2),
    "keras": ("--batch-size", 2),
    "ppo": ("--hidden", 8, "--n-envs", 2),
    "dqn": ("--hidden", 8, "--n-envs", 2, "--buffer-size", 2000, "--learning-starts", 1000),
}
PARTS = (
    "Learning curve", "Evaluation", "What hidden units see", "Settings",
    "Versions",
)  # fmt: skip


@pytest.fixture(scope="module")
def chromium() -> Iterator[driver.Browser]:
    if driver.find() is None:
        pytest.skip(driver.MISSING)
    with driver.Browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def report(trained: tuple[Path, str], home: Path) -> Path:
    path = home / "report.html"
    done = fastpong("report", trained[0], "-o", path, "--episodes", 2, "--seconds", 1, cwd=home)
    assert done.returncode == 0, done
    return path


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("dark", [False, True])
def test_a_report_fits_any_window(
    chromium: driver.Browser, report: Path, width: int, dark: bool
) -> None:
    tab = chromium.open(report.as_uri(), width, 800, dark=dark)
    assert tab.value("document.documentElement.scrollWidth") == width
    paper, ink = (
        tab.value(f"getComputedStyle(document.body).{name}")
        for name in ("backgroundColor", "color")
    )
    bright = [sum(int(n) for n in c[4:-1].split(",")) / 765 for c in (paper, ink)]
    assert (bright[0] < 0.2 < 0.8 < bright[1]) if dark else (bright[1] < 0.2 < 0.8 < bright[0])
    # Text is not stretched with the lines, and stays within the window.
    assert tab.value("getComputedStyle(document.querySelector('.chart text')).fontSize") == "12px"
    assert tab.value(
        "[...document.querySelectorAll('.chart text')].filter(t => t.checkVisibility()).every("
        "t => t.getBoundingClientRect().left >= 0 && t.getBoundingClientRect().right <= innerWidth)"
    )


def test_a_report_asks_for_nothing_and_has_the_numbers(
    chromium: driver.Browser, report: Path, trained: tuple[Path, str]
) -> None:
    tab = chromium.open(report.as_uri(), 1200, 800)
    assert tab.requests == [report.as_uri()]
    assert tab.errors == []
    for words in PARTS:
        assert words in tab.text
    mean = sum(float(row["return"]) for row in rows(trained[0])) / 3
    assert f"mean of the last 3 {mean:+.2f}" in tab.text
    assert tab.value("[...document.images].every(image => image.naturalWidth > 0)")
    if tab.value("document.querySelector('video') !== null"):
        tab.wait("document.querySelector('video').videoWidth == 480")


def test_the_axis_can_be_chosen_and_the_curve_read(chromium: driver.Browser, report: Path) -> None:
    tab = chromium.open(report.as_uri(), 1200, 800)
    shown = "[...document.querySelectorAll('.panel')].filter(p => p.checkVisibility())"
    assert tab.value(f"{shown}.map(p => p.className)") == ["panel x-steps"]
    tab.value("document.getElementById('x-time').click()")
    assert tab.value(f"{shown}.map(p => p.className)") == ["panel x-time"]
    tab.value("document.getElementById('x-episodes').click()")
    tab.value(f"{shown}[0].scrollIntoView()")
    area = f"{shown}[0].querySelector('.area').getBoundingClientRect()"
    x = tab.value(f"{area}.left + 0.7 * {area}.width")
    y = tab.value(f"{area}.top + {area}.height / 2")
    tab.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
    read = tab.wait(f"{shown}[0].querySelector('.reading').textContent")
    assert read.startswith("episodes 2.1 ")
    assert -21 <= float(read.split()[-1]) <= 21


@pytest.mark.parametrize("agent", SETTINGS)
def test_a_report_of_each_agent(chromium: driver.Browser, agent: str, tmp_path: Path) -> None:
    pytest.importorskip("PIL")
    train = ["--agent", agent, "--env", "PongDeterministic-v4", "--episodes", 2, "--workers", 1]
    done = inside("train", *train, *SETTINGS[agent], "--run-dir", "run", cwd=tmp_path)
    assert done.returncode == 0, done
    quick = ("--episodes", 1, "--seconds", 0.5, "--workers", 1)
    done = fastpong("report", "run", "-o", "r.html", *quick, cwd=tmp_path)
    assert done.returncode == 0, done
    tab = chromium.open((tmp_path / "r.html").as_uri(), 390, 800)
    for words in ("A game", *PARTS, f"{agent} on PongDeterministic-v4"):
        assert words in tab.text
    assert tab.value("document.documentElement.scrollWidth") == 390
    assert tab.value("document.querySelectorAll('.unit img').length") >= 8
    assert tab.errors == []


def test_a_board_beside_a_training(chromium: driver.Browser, tmp_path: Path) -> None:
    pytest.importorskip("uvicorn")
    (tmp_path / "runs").mkdir()
    with showing(cwd=tmp_path) as board:
        address = f"http://127.0.0.1:{board.port}/"
        tab = chromium.open(address, 1200, 800)
        tab.wait("document.body.innerText.includes('There are no runs yet')")
        with training("--run-dir", "runs/live", "--save-every", 1, cwd=tmp_path) as process:
            # It appears by itself, and its numbers change.
            tab.wait("document.querySelector('.mean') && document.querySelector('.mean').innerText")
            assert tab.value("document.querySelector('.name').innerText") == "live"
            assert "training · karpathy on PongDeterministic-v4" in tab.text
            games = "document.querySelector('.more').innerText.match(/(\\d+) episode/)[1]"
            before = tab.value(games)
            tab.wait(f"{games} !== '{before}'")
            tab.wait("document.querySelector('#returns polyline') !== null")
            # The game moves.
            tab.wait("document.getElementById('screen').src")
            picture = tab.value("document.getElementById('screen').src")
            tab.wait(f"document.getElementById('screen').src !== '{picture}'")
            assert "computer 0 : " in tab.text
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=PATIENCE)
        tab.wait("document.body.innerText.includes('ended ')")
        board.process.send_signal(signal.SIGINT)
        board.process.communicate(timeout=PATIENCE)
        tab.wait("document.body.innerText.includes('The board does not answer')")
    assert {url.split("?")[0].removeprefix(address) for url in tab.requests} == {
        "", "board.css", "board.js", "state", "game",
    }  # fmt: skip
    assert not [error for error in tab.errors if "ERR_" not in error]


def test_chosen_runs_stay_in_the_address(
    chromium: driver.Browser, home: Path, trained: tuple[Path, str], tmp_path: Path
) -> None:
    pytest.importorskip("uvicorn")
    for name in ("a", "b", "<i>c"):
        shutil.copytree(trained[0], tmp_path / name)
    with showing(tmp_path, cwd=home) as board:
        tab = chromium.open(f"http://127.0.0.1:{board.port}/#run=b&axis=episodes", 390, 800)
        tab.wait("document.querySelector('#returns polyline') !== null")
        assert tab.value("document.querySelectorAll('#returns polyline').length") == 1
        boxes = "[...document.querySelectorAll('#list li')]"
        tab.value(f"{boxes}.find(i => i.run === '<i>c').querySelector('input').click()")
        tab.wait("document.querySelectorAll('#returns polyline').length == 2")
        assert tab.value("decodeURIComponent(location.hash)").startswith("#run=b&run=<i>c&axis=epi")
        assert tab.value("[...document.querySelectorAll('.legend')][0].innerText").split() == [
            "b", "<i>c",
        ]  # fmt: skip
        assert tab.value("document.querySelectorAll('i:not([class])').length") == 0
        assert tab.value("document.documentElement.scrollWidth") == 390


def test_a_run_that_is_gone_leaves_its_colour_and_its_place(
    chromium: driver.Browser, home: Path, trained: tuple[Path, str], tmp_path: Path
) -> None:
    """And when none of those chosen is left, the newest is chosen again."""
    pytest.importorskip("uvicorn")
    for age, name in enumerate(("newest", "b", "c")):
        shutil.copytree(trained[0], tmp_path / name)
        when = time.time() - 100 * age
        os.utime(tmp_path / name / "metrics.csv", (when, when))
    lines = "document.querySelectorAll('#returns polyline')"
    with showing(tmp_path, cwd=home) as board:
        tab = chromium.open(f"http://127.0.0.1:{board.port}/#run=b&run=c&axis=steps", 390, 800)
        tab.wait(f"{lines}.length == 2")
        shutil.rmtree(tmp_path / "b")
        tab.wait(f"{lines}.length == 1")
        tab.wait("!location.hash.includes('run=b')")
        assert tab.value("decodeURIComponent(location.hash)").startswith("#run=c&axis=steps")
        boxes = "[...document.querySelectorAll('#list li')].map(i => "
        tab.wait(f"{boxes}i.run + i.querySelector('input').className).includes('cc0')")
        shutil.rmtree(tmp_path / "c")
        tab.wait(f"{boxes}i.run + i.querySelector('input').checked).join() === 'newesttrue'")
        tab.wait(f"{lines}.length == 1")
        # A request for a run may be under way while it goes.
        assert [error for error in tab.errors if "404" not in error] == []
