"""``fastpong report``: one file with all that there is to see of a run."""

from __future__ import annotations

import base64
import io
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from commands import COMMAND, SMALL, complaint, fastpong, inside, rows, training
from waiting import PATIENCE

from fastpong.report.filmed import film
from fastpong.storage import checkpoint
from fastpong.viewing.shown import load_shown

QUICK = ("--episodes", 0, "--seconds", 0)


class Page(HTMLParser):
    """The elements of a page, and its words without scripts and styles."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self._open: list[str] = []
        self._words: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if not {"script", "style"} & set(self._open):
            self._words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self._words).split())


def written(run: Path, output: Path, *arguments: object) -> Page:
    done = fastpong("report", run, "-o", output, *arguments, cwd=output.parent)
    assert done.returncode == 0, done
    assert done.stderr == ""
    assert re.search(rf"wrote {output}: [\d,]+ kB\n$", done.stdout)
    return Page(output)


def test_a_report_tells_of_settings_curve_and_games(
    trained: tuple[Path, str], tmp_path: Path
) -> None:
    run = trained[0]
    page = written(run, tmp_path / "r.html", "--episodes", 2, "--seconds", 1, "--workers", 1)
    played = [float(row["return"]) for row in rows(run)]
    assert (
        f"{run.name} karpathy on PongDeterministic-v4, recipe karpathy, seed 0 ended" in page.text
    )
    assert f"mean of the last 3 {sum(played) / 3:+.2f}" in page.text
    assert "hidden 4 200" in page.text  # value and default
    assert f"numpy {np.__version__}" in page.text
    for episode in (0, 2, 3):
        checkpoint = run / "checkpoints" / f"{episode:08d}.json"
        done = inside("eval", checkpoint, "--episodes", 2, "--workers", 1, cwd=tmp_path)
        mean = float(re.search(r"mean +(-[\d.]+)", done.stdout)[1])  # type: ignore[index]
        assert re.search(rf"\b{episode} [\d.k]+ karpathy {mean:.2f} ±", page.text)
    assert [names["id"] for tag, names in page.elements if tag == "input"] == [
        "x-steps", "x-frames", "x-episodes", "x-time", "x-core-minutes",
    ]  # fmt: skip


def test_a_report_needs_nothing_else(trained: tuple[Path, str], tmp_path: Path) -> None:
    page = written(trained[0], tmp_path / "r.html", "--episodes", 0, "--seconds", 1)
    text = (tmp_path / "r.html").read_text()
    assert not re.search(r"https?:|//[a-z]+\.|@import|url\(", text)
    for tag, attributes in page.elements:
        assert tag not in ("iframe", "object", "embed", "base", "form", "a")
        for name in ("src", "href", "srcset", "poster", "data"):
            assert (attributes.get(name) or "data:").startswith("data:")
    assert "default-src 'none'" in text


def test_names_from_files_stay_text(trained: tuple[Path, str], tmp_path: Path) -> None:
    bad = "<img src=x onerror=alert(1)>&\"'"
    run = Path(shutil.copytree(trained[0], tmp_path / bad))
    versions = run / "versions.json"
    versions.write_text(versions.read_text().replace('"cpu": "', '"cpu": "</td><script>bad()'))
    page = written(run, tmp_path / "r.html", *QUICK)
    assert not [names for tag, names in page.elements if tag == "img" and names["src"] == "x"]
    assert [tag for tag, _ in page.elements].count("script") == 1
    assert bad in page.text
    assert "</td><script>bad()" in page.text


def test_a_run_in_training(tmp_path: Path) -> None:
    with training("--run-dir", "run", "--save-every", 1, cwd=tmp_path):
        page = written(tmp_path / "run", tmp_path / "r.html", "--episodes", 1, "--seconds", 0)
    assert "in training" in page.text
    assert "Evaluation" in page.text


def test_what_is_missing_is_said(trained: tuple[Path, str], tmp_path: Path) -> None:
    run = Path(shutil.copytree(trained[0], tmp_path / "run"))
    for path in (run / "metrics.csv", run / "versions.json"):
        path.unlink()
    shutil.rmtree(run / "checkpoints")
    page = written(run, tmp_path / "r.html")
    assert "No episode has ended yet." in page.text
    assert "expected a whole checkpoint: there is none" in page.text
    assert "versions.json is missing" in page.text


def test_a_damaged_checkpoint_is_told_and_left_out(
    trained: tuple[Path, str], tmp_path: Path
) -> None:
    run = Path(shutil.copytree(trained[0], tmp_path / "run"))
    (run / "checkpoints" / "00000002.safetensors").write_bytes(b"no")
    page = written(run, tmp_path / "r.html", "--episodes", 1, "--seconds", 0, "--workers", 1)
    assert "Checkpoint refused:" in page.text
    assert len(re.findall(r"[\dk] karpathy [+-]", page.text)) == 2


def test_the_newest_run_is_the_default(home: Path, trained: tuple[Path, str]) -> None:
    done = fastpong("report", "-o", "newest.html", *QUICK, cwd=home)
    assert done.returncode == 0, done
    assert trained[0].name in (home / "newest.html").read_text()


def test_without_packages_for_films_a_sentence_says_so(
    trained: tuple[Path, str], tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\nsys.modules['PIL'] = sys.modules['av'] = None\n"
    )
    done = fastpong(
        "report", trained[0], "-o", "r.html", "--episodes", 0, cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 0, done
    text = Page(tmp_path / "r.html").text
    assert "No film: a webp file needs Pillow" in text
    assert "pip install" in text


def test_ctrl_c_writes_what_there_is(trained: tuple[Path, str], tmp_path: Path) -> None:
    command = [*COMMAND, "report", str(trained[0]), "-o", "r.html", "--episodes", "100000"]
    with subprocess.Popen(
        [*command, "--seconds", "0.1"], stdout=subprocess.PIPE, text=True, cwd=tmp_path
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("filming")
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert "stopped early by SIGINT" in rest
    assert "was stopped before it had played" in Page(tmp_path / "r.html").text


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("missing", "-o", "r.html"), "expected a run, a directory with a config.toml"),
        (("-o", "r.html"), "there is none under runs/"),
        (("RUN", "-o", "r.pdf"), "expected a file .html, got r.pdf"),
        (("RUN", "-o", "missing/r.html"), "expected a directory that exists, got missing"),
        (("RUN",), "Missing option '-o'"),
        (("RUN", "-o", "r.html", "--episodes", "-1"), "-1 is not in the range"),
        (("RUN/checkpoints", "-o", "r.html"), "expected a run"),
        (
            ("RUN/..", "-o", "r.html"),
            "expected a run, got a directory with 1 run; name one of them",
        ),
    ],
)
def test_what_is_refused(
    arguments: tuple[str, ...], expected: str, trained: tuple[Path, str], tmp_path: Path
) -> None:
    words = [word.replace("RUN", str(trained[0])) for word in arguments]
    assert expected in complaint(fastpong("report", *words, cwd=tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_directory_is_no_output(trained: tuple[Path, str], tmp_path: Path) -> None:
    (tmp_path / "r.html").mkdir()
    done = fastpong("report", trained[0], "-o", "r.html", cwd=tmp_path)
    assert "r.html: expected a file to write, got a directory" in complaint(done)
    assert done.stdout == "", "before any work"


def test_names_that_are_not_utf_8(trained: tuple[Path, str], tmp_path: Path) -> None:
    run = Path(shutil.copytree(trained[0], tmp_path / "a\udcff"))
    (run / "versions.json").write_text('{"fastpong": "\\ud800"}')
    done = fastpong("report", run, "-o", "r.html", *QUICK, cwd=tmp_path)
    assert done.returncode == 0, done
    assert "karpathy on PongDeterministic-v4" in Page(tmp_path / "r.html").text


def test_a_game_that_is_not_installed_is_a_note(trained: tuple[Path, str], tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['ale_py'] = None\n")
    done = fastpong(
        "report", trained[0], "-o", "r.html", cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)}
    )
    assert done.returncode == 0, done
    assert "expected ale_py to be installed" in Page(tmp_path / "r.html").text


def test_ctrl_c_ends_the_film(trained: tuple[Path, str]) -> None:
    found, _ = checkpoint.newest(trained[0] / "checkpoints")
    asked = 0

    def stop() -> bool:
        nonlocal asked
        asked += 1
        return asked == 3

    assert "data:" in film(load_shown(found), 100, stop)
    assert asked == 3


def test_a_film_needs_no_temporary_file(
    trained: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second descriptor of a file begins where the first one ended on macOS."""
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
    found, _ = checkpoint.newest(trained[0] / "checkpoints")
    av = pytest.importorskip("av")
    html = film(load_shown(found), 1, lambda: False)
    data = base64.b64decode(re.findall(r'src="data:video/mp4;base64,([^"]*)"', html)[0])
    with av.open(io.BytesIO(data)) as file:
        assert sum(1 for _ in file.decode(video=0)) == 30


def test_a_film_that_stays_in_memory_is_short(
    trained: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    found, _ = checkpoint.newest(trained[0] / "checkpoints")
    frames = 0

    def stop() -> bool:
        nonlocal frames
        frames += 1
        return frames == 400

    assert "data:image/webp" in film(load_shown(found), 100, stop)
    assert frames == 150


def test_evaluations_while_it_trained_and_the_best_weights(tmp_path: Path) -> None:
    every = ("--eval-every", 1, "--eval-episodes", 2, "--episodes", 3, "--run-dir", "run")
    done = inside("train", *SMALL, *every, cwd=tmp_path)
    assert done.returncode == 0, done
    short = ("--episodes", 1, "--seconds", 0)
    done = fastpong("report", "run", "-o", "r.html", *short, cwd=tmp_path)
    assert re.search(r"^best while it trained, after \d episodes?: mean", done.stdout, re.MULTILINE)
    page, text = Page(tmp_path / "r.html"), (tmp_path / "r.html").read_text()
    assert 'data-name="while it trained"' in text
    assert 'data-name="of the checkpoints"' in text
    assert re.search(r"best while it trained \d [\d.]+k karpathy [+-]", page.text)
    evaluated = (tmp_path / "run" / "evaluations.csv").read_text().splitlines()
    (line,) = re.findall(r'<polyline class="line c3" points="([^"]*)"', text)
    assert len(line.split()) == len(evaluated) - 1
