"""Resumed runs."""

from __future__ import annotations

import resource
from pathlib import Path

from commands import (
    SMALL,
    fastpong,
    rows,
)  # fmt: skip

from fastpong.settings.config import Config


def test_resume_without_a_name_takes_the_newest_run(home: Path, trained: tuple[Path, str]) -> None:
    done = fastpong("train", "--resume", cwd=home)
    assert done.returncode == 0
    assert f"{trained[0].name} has 3 episodes" in done.stdout
    assert "--episodes 6" in done.stdout


def test_an_altered_checkpoint_is_refused_aloud_and_the_older_one_used(run_copy: Path) -> None:
    newest = run_copy / "checkpoints" / "00000003.safetensors"
    data = bytearray(newest.read_bytes())
    data[len(data) // 2] ^= 1
    newest.write_bytes(data)
    done = fastpong("train", "--resume", run_copy, "--workers", 2, cwd=run_copy)
    assert done.returncode == 0, done
    assert "checkpoint refused: " in done.stderr
    assert "00000003.safetensors: was altered" in done.stderr
    assert f"going on after episode 2 of {run_copy}" in done.stdout
    assert [row["episode"] for row in rows(run_copy)] == ["1", "2", "3"]
    assert Config.load(run_copy / "config.toml")["workers"] == 2


def test_a_full_disk_costs_checkpoints_and_no_more(tmp_path: Path) -> None:
    def small_disk() -> None:
        # The first checkpoint is 307 kB, and those with two versions of the weights 410 kB.
        resource.setrlimit(resource.RLIMIT_FSIZE, (350_000, 350_000))

    settings = [*SMALL, "--episodes", 4, "--save-every", 2, "--run-dir", "run"]
    done = fastpong("train", *settings, cwd=tmp_path, preexec_fn=small_disk)
    assert done.returncode == 0, done
    assert "the checkpoint of episode 4 cannot be saved: File too large" in done.stderr
    assert "training goes on" in done.stderr
    assert "Traceback" not in done.stderr
    assert "steps; checkpoint run/checkpoints/00000000.json" in done.stdout
    assert len(rows(tmp_path / "run")) == 4
    again = fastpong("train", "--resume", "run", "--episodes", 1, cwd=tmp_path)
    assert again.returncode == 0, again
    assert len(rows(tmp_path / "run")) == 1
