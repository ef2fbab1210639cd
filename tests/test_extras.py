"""Hints about optional packages: commands that pip understands, wherever fastpong came from."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from fastpong.envs.choice import OLDEST_ALE
from fastpong.extras import how_to_install

ROOT = Path(__file__).resolve().parents[1]


def project() -> dict[str, Any]:
    found: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return found


def declared() -> dict[str, list[str]]:
    extras: dict[str, list[str]] = project()["optional-dependencies"]
    return extras


def test_what_is_too_old_by_the_metadata_is_refused_where_it_is_installed_anyway() -> None:
    assert f"ale-py>={'.'.join(map(str, OLDEST_ALE))}" in project()["dependencies"]


@pytest.mark.parametrize("extra", ["plot", "keras", "onnx", "play", "video", "ray"])
def test_the_hint_has_the_packages_that_are_declared(extra: str) -> None:
    words = re.findall(r'"([^"]+)"', how_to_install(extra))
    assert sorted(words) == sorted(declared()[extra])
    assert how_to_install(extra).startswith("pip install ")
    assert how_to_install(extra, extra) == how_to_install(extra)


def test_pip_understands_it_without_an_index() -> None:
    command = how_to_install("plot").split()[1:]
    words = [word.strip('"') for word in command]
    done = subprocess.run(
        [sys.executable, "-m", "pip", *words, "--dry-run", "--no-index", "--no-deps"],
        capture_output=True,
        text=True,
    )
    if "No module named pip" in done.stderr:
        pytest.skip("pip is not installed here")
    # Installed already, or looked for by its own name: fastpong itself is not asked for.
    assert "fastpong" not in done.stdout + done.stderr


def test_extras_of_extras_and_other_markers() -> None:
    lines = metadata.requires("fastpong") or []
    assert any('extra == "plot"' in line for line in lines)
    assert how_to_install("compare").count('"') == 2 * len(declared()["compare"])


def test_without_metadata_pip_is_asked_for_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> list[str]:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "requires", missing)
    assert how_to_install("plot") == 'pip install "fastpong[plot]"'


def test_no_message_names_an_index_that_has_no_fastpong() -> None:
    for path in (ROOT / "fastpong").rglob("*.py"):
        if path.name != "extras.py":
            assert not re.search(r"pip install \"?fastpong\[", path.read_text()), path
