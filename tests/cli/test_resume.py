"""Resumed runs."""

from __future__ import annotations

import json
import re
import resource
import signal
from pathlib import Path

from commands import (
    SMALL,
    complaint,
    fastpong,
    inside,
    rows,
    training,
)  # fmt: skip
from waiting import PATIENCE

from fastpong.settings.config import Config
from fastpong.storage.evaluations import read_evaluations
from fastpong.storage.manifest import signed


def test_resume_without_a_name_takes_the_newest_run(home: Path, trained: tuple[Path, str]) -> None:
    done = inside("train", "--resume", cwd=home)
    assert done.returncode == 0
    assert f"{trained[0].name} has 3 episodes" in done.stdout
    assert "--episodes 6" in done.stdout


def test_an_altered_checkpoint_is_refused_aloud_and_the_older_one_used(run_copy: Path) -> None:
    newest = run_copy / "checkpoints" / "00000003.safetensors"
    data = bytearray(newest.read_bytes())
    data[len(data) // 2] ^= 1
    newest.write_bytes(data)
    done = inside("train", "--resume", run_copy, "--workers", 2, cwd=run_copy)
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
    message = complaint(done)
    assert done.returncode == 1
    assert "the checkpoint of episode 4 cannot be saved: " in done.stderr
    assert "File too large, see ulimit -f" in done.stderr
    assert "training goes on" in done.stderr
    assert "the newest checkpoint is of episode 0, run/checkpoints/00000000.json" in message
    assert len(rows(tmp_path / "run")) == 4
    again = inside("train", "--resume", "run", "--episodes", 1, cwd=tmp_path)
    assert again.returncode == 0, again
    assert len(rows(tmp_path / "run")) == 1


def test_a_training_that_diverged_is_not_told_to_make_room(tmp_path: Path) -> None:
    rate = ["--learning-rate", 1e38, "--batch-size", 1, "--episodes", 2, "--run-dir", "run"]
    done = inside("train", *SMALL, *rate, cwd=tmp_path)
    assert done.returncode == 1
    assert re.search("training diverged: .*w1 has numbers that are not finite", complaint(done))
    assert complaint(done).endswith("with a smaller --learning-rate")
    again = ["--resume", "run", "--learning-rate", 1e-3]
    assert inside("train", *again, cwd=tmp_path).returncode == 0


def test_weights_that_diverged_are_not_evaluated(tmp_path: Path) -> None:
    rate = ["--learning-rate", 1e38, "--batch-size", 1, "--episodes", 2, "--run-dir", "run"]
    every = ["--save-every", 100, "--eval-every", 1, "--eval-episodes", 1]
    done = inside("train", *SMALL, *rate, *every, cwd=tmp_path)
    assert "training diverged: w1 has numbers that are not finite" in complaint(done)
    assert not (tmp_path / "run" / "best.safetensors").exists()


def test_a_run_of_an_earlier_until_goes_on(run_copy: Path) -> None:
    """Means above 21 were written for never."""
    settings = run_copy / "config.toml"
    settings.write_text("until = 25.0\n" + settings.read_text())
    for path in (run_copy / "checkpoints").glob("*.json"):
        manifest = json.loads(path.read_text())
        manifest["config"]["until"] = 25.0
        del manifest["digest"]
        path.write_bytes(signed(manifest))
    for command in ("info", "eval --episodes 1", "plot"):
        done = inside(*command.split(), run_copy, cwd=run_copy)
        assert done.returncode == 0, done
    done = inside("train", "--resume", run_copy, "--episodes", 4, cwd=run_copy)
    assert done.returncode == 0 and "refused" not in done.stderr, done
    assert len(rows(run_copy)) == 4
    assert "until" not in Config.load(settings)
    settings.write_text("until = 25.0\n" + settings.read_text())
    done = inside("train", "--config", settings, "--run-dir", "new", cwd=run_copy)
    assert "until: expected a number in [-21, 21], got 25.0" in complaint(done)


def test_a_last_evaluation_that_ctrl_c_cuts_short_is_made_by_the_resumed_run(
    tmp_path: Path,
) -> None:
    long = ("--episodes", 1, "--eval-every", 100, "--eval-episodes", 100_000)
    with training("--run-dir", "run", *long, cwd=tmp_path) as process:
        process.send_signal(signal.SIGINT)
        printed, errors = process.communicate(timeout=PATIENCE)
    assert (process.returncode, errors) == (130, "")
    assert "stopped by SIGINT after episode 1; " in printed
    done = inside("train", "--resume", "run", "--eval-episodes", 1, cwd=tmp_path)
    assert done.returncode == 0 and "trained 1 episode, " in done.stdout, done
    (row,) = read_evaluations(tmp_path / "run")
    assert (row.episode, row.eval_episodes) == (1, 1)
    assert "run has 1 episode," in inside("train", "--resume", "run", cwd=tmp_path).stdout
