"""Runs below a directory, and nothing outside of it."""

from __future__ import annotations

from pathlib import Path

from run_cases import config, snapshot, stats

from fastpong.board.library import Library, metrics_path, newest_checkpoint
from fastpong.storage.run import Run


def make_run(directory: Path) -> Path:
    with Run.create(directory, config()) as run:
        run.log(stats(1))
        run.save(snapshot(0))
        run.save(snapshot(5))
    return directory


def test_runs_are_found_at_three_levels(tmp_path: Path) -> None:
    for name in ("a", "sweep/b", "x/y/c", "x/y/z/too-deep"):
        make_run(tmp_path / name)
    assert list(Library(tmp_path).runs()) == ["a", "sweep/b", "x/y/c"]
    assert Library(tmp_path / "a").runs() == {"a": (tmp_path / "a").resolve()}
    assert Library(tmp_path / "missing").runs() == {}


def test_a_root_may_be_a_link(tmp_path: Path) -> None:
    make_run(tmp_path / "real" / "a")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert list(Library(tmp_path / "link").runs()) == ["a"]


def test_links_are_not_followed(tmp_path: Path) -> None:
    secret = make_run(tmp_path / "secret" / "run")
    root = tmp_path / "root"
    mine = make_run(root / "mine")
    (root / "linked").symlink_to(secret)
    (root / "folder").symlink_to(secret.parent)
    bare = root / "bare"
    bare.mkdir()
    (bare / "config.toml").symlink_to(secret / "config.toml")
    assert list(Library(root).runs()) == ["mine"]

    (mine / "metrics.csv").unlink()
    (mine / "metrics.csv").symlink_to(secret / "metrics.csv")
    assert metrics_path(mine.resolve()) is None


def test_linked_checkpoints_are_none(tmp_path: Path) -> None:
    secret = make_run(tmp_path / "secret").resolve()
    run = make_run(tmp_path / "run").resolve()
    newest = newest_checkpoint(run)
    assert newest is not None
    assert newest.name == "00000005.json"
    data = newest.with_suffix(".safetensors")
    data.unlink()
    data.symlink_to(secret / "checkpoints" / data.name)
    older = newest_checkpoint(run)
    assert older is not None
    assert older.name == "00000000.json"

    (run / "checkpoints").rename(tmp_path / "away")
    (run / "checkpoints").symlink_to(tmp_path / "away")
    assert newest_checkpoint(run) is None
