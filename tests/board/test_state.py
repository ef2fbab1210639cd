"""The state of runs, where one of them fails in a way that nobody foresaw."""

from __future__ import annotations

from pathlib import Path

import pytest
from run_cases import config, stats

from fastpong.board import state
from fastpong.board.library import Library
from fastpong.storage.run import Run


def test_a_run_that_fails_is_named_and_the_others_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abc":
        with Run.create(tmp_path / name, config()) as run:
            run.log(stats(1))
    original = state.metrics_path

    def failing(run: Path) -> Path | None:
        if run.name == "a":
            raise ZeroDivisionError
        return original(run)

    monkeypatch.setattr(state, "metrics_path", failing)
    told = state.State(Library(tmp_path)).tell([*"abc"], "steps")
    first, second, _ = told["runs"]
    assert first["about"] == "cannot be read: ZeroDivisionError"
    assert second["episodes"] == "1"
    assert first.keys() <= second.keys()
    assert told["charts"]["returns"].count("<li>") == 2
