"""The other commands: eval, plot, info, import, recipes, help."""

from __future__ import annotations

import dataclasses
import pickle
import re
import shutil
import signal
import subprocess
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
from commands import (
    COMMAND,
    fastpong,
    inside,
    rows,
    training,
)  # fmt: skip
from waiting import PATIENCE

from fastpong.cli import errors as cli
from fastpong.console.games import COVERED
from fastpong.storage import checkpoint

CLICK = tuple(map(int, metadata.version("click").split(".")[:2]))
"""Before 8.2 it shows the help of a command without words as a result, and no error."""


def test_eval_of_a_run_and_of_its_files(trained: tuple[Path, str], home: Path) -> None:
    run = trained[0]
    manifest = run / "checkpoints" / "00000003.json"
    common = ["--episodes", 2, "--workers", 1, "--seed", 5]
    results = [
        inside("eval", source, *common, cwd=home)
        for source in (run, manifest, manifest.with_suffix(".safetensors"))
    ]
    assert [result.returncode for result in results] == [0, 0, 0], results
    assert len({result.stdout for result in results}) == 1
    table = dict(re.findall(r"^(\w[\w ]*?)  +(.+)$", results[0].stdout, re.M))
    games = re.findall(r"^episode \d+  return ([+-]\d+)  length (\d+)$", results[0].stdout, re.M)
    scores = [int(score) for score, _ in games]
    assert len(scores) == 2
    assert float(table["mean"]) == pytest.approx(np.mean(scores), abs=0.006)
    assert float(table["standard deviation"]) == pytest.approx(np.std(scores, ddof=1), abs=0.006)
    assert (int(table["min"]), int(table["max"])) == (min(scores), max(scores))
    assert table["wins"] == "0 of 2"
    steps, frames = re.findall(r"\d+", table["mean length"])
    assert int(steps) == round(np.mean([int(length) for _, length in games]))
    assert 4 * int(steps) - 4 <= int(frames) <= 4 * int(steps) + 4  # PongDeterministic-v4


def test_ctrl_c_in_eval_sums_up_the_games_played(trained: tuple[Path, str], home: Path) -> None:
    command = [*COMMAND, "eval", str(trained[0]), "--episodes", "500", "--workers", "1"]
    with subprocess.Popen(
        command, cwd=home, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("episode 2 "):
                break
        process.send_signal(signal.SIGINT)
        printed, errors = process.communicate(timeout=PATIENCE)
    assert (process.returncode, errors) == (130, "")
    assert re.search(r"^episodes +\d+ of 500, stopped by SIGINT$", printed, re.M)
    assert re.search(r"^mean +-\d+\.\d\d$", printed, re.M)


def test_training_stops_by_itself_at_its_goal(run_copy: Path) -> None:
    goal = ("--until", "-21", "--until-episodes", "4")
    done = inside("train", "--resume", run_copy, "--episodes", 9, *goal, cwd=run_copy)
    assert done.returncode == 0, done
    assert "reached a mean return of -21 over the last 4 episodes\n" in done.stdout
    assert "trained 4 episodes, " in done.stdout
    again = inside("train", "--resume", run_copy, cwd=run_copy)
    assert again.returncode == 0, again
    assert "has reached a mean return of -21 over 4 episodes after 4 episodes" in again.stdout
    assert "--until never" in again.stdout
    never = ("--until", "never", "--episodes", 5)
    further = inside("train", "--resume", run_copy, *never, cwd=run_copy)
    assert "trained 5 episodes" in further.stdout
    assert "reached" not in further.stdout


def test_the_advice_trains_on_as_it_was_typed(run_copy: Path) -> None:
    """Whatever is over is moved, and options that a run does not keep are in it."""
    goal = ("--until", "-21", "--until-episodes", 1, "--total-timesteps", 10)
    typed = ("--resume", run_copy, "--episodes", 3, *goal, "--no-progress")
    over = inside("train", *typed, cwd=run_copy)
    assert over.returncode == 0, over
    told = re.search(r"to train on: fastpong (train --resume .*)$", over.stdout)
    assert told is not None
    for reason in ("has 3 episodes, and 3 were", "and 10 were asked for", "-21 over 1 episode"):
        assert reason in over.stdout
    command = told[1].split()
    assert command[-1] == "--no-progress" and "--episodes 6" in told[1]
    done = inside(*command, cwd=run_copy)
    assert "trained 6 episodes, " in done.stdout, done


def test_the_advice_after_ctrl_c_has_the_options_that_no_run_keeps(tmp_path: Path) -> None:
    words = ("--run-dir", "run", "--no-progress", "--watch", "--workers", 1)
    with training(*words, cwd=tmp_path) as process:
        process.send_signal(signal.SIGINT)
        printed, _ = process.communicate(timeout=PATIENCE)
    assert "to go on: fastpong train --resume run --no-progress --watch\n" in printed


def test_the_actor_critic_trains_goes_on_and_plays(tmp_path: Path) -> None:
    size = ["--hidden", 16, "--n-envs", 3, "--n-steps", 100, "--save-every", 2]
    where = ["--agent", "ppo", "--env", "PongDeterministic-v4", "--run-dir", "run"]
    done = inside("train", *where, *size, "--episodes", 2, "--workers", 2, cwd=tmp_path)
    assert done.returncode == 0 and done.stderr == "", done
    episodes = len(rows(tmp_path / "run"))
    assert 2 <= episodes <= 5 and f"trained {episodes} episodes" in done.stdout
    more = ["--resume", "run", "--episodes", episodes + 1]
    done = inside("train", *more, cwd=tmp_path)
    assert done.returncode == 0 and done.stderr == "", done
    found = rows(tmp_path / "run")
    assert [int(row["episode"]) for row in found] == list(range(1, len(found) + 1))
    assert len(found) > episodes
    assert all(float(row["cpu_seconds"]) > 0.5 for row in found)
    scores = []
    for choice in ([], ["--greedy"]):
        done = inside("eval", "run", "--episodes", 2, *choice, cwd=tmp_path)
        assert done.returncode == 0, done
        scores.append(re.findall(r"return ([+-]\d+)  length (\d+)", done.stdout))
    assert len(scores[0]) == len(scores[1]) == 2


def test_resume_without_a_name_passes_over_runs_that_have_no_checkpoint(
    trained: tuple[Path, str], tmp_path: Path
) -> None:
    runs = tmp_path / "runs"
    shutil.copytree(trained[0], runs / "whole")
    (runs / "begun").mkdir()
    shutil.copy(trained[0] / "config.toml", runs / "begun")
    done = inside("train", "--resume", "--episodes", "2", cwd=tmp_path)
    assert done.returncode == 0, done
    assert "runs/whole has 3 episodes, and 2 were asked for" in done.stdout
    assert "--episodes 6" in done.stdout


def test_fastpong_alone_shows_its_help(home: Path) -> None:
    done = inside(cwd=home)
    assert done.returncode == (2 if CLICK >= (8, 2) else 0)
    shown = done.stderr if CLICK >= (8, 2) else done.stdout
    assert shown.startswith("Usage: fastpong [OPTIONS] COMMAND")


def test_eval_greedy_in_another_environment(trained: tuple[Path, str], home: Path) -> None:
    settings = ["--greedy", "--env", "PongNoFrameskip-v4", "--episodes", 2, "--workers", 1]
    done = inside("eval", trained[0], *settings, cwd=home)
    assert done.returncode == 0, done
    assert "plays PongNoFrameskip-v4" in done.stdout
    games = re.findall(r"^episode \d+  (.*)$", done.stdout, re.M)
    assert games[0] == games[1], "nothing is left to chance"


def test_info_says_why_ale_plays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(COVERED, "pong", dataclasses.replace(COVERED["pong"], sha256="0" * 64))
    assert cli.run(["info"]) == 0
    assert re.search(
        r"^emulator +ale: the ROM pong has 2048 bytes and", capsys.readouterr().out, re.M
    )
    monkeypatch.setenv("ALE_ROMS_DIR", str(tmp_path))
    assert cli.run(["info"]) == 0
    assert re.search(r"^emulator +none: .*pong\.bin: expected", capsys.readouterr().out, re.M)


def test_eval_plays_the_same_on_every_emulator(trained: tuple[Path, str], home: Path) -> None:
    command = ["eval", trained[0], "--episodes", 1, "--workers", 1, "--emulator"]
    console, ale = (inside(*command, emulator, cwd=home) for emulator in ("console", "ale"))
    assert (console.returncode, console.stderr) == (0, "")
    assert console.stdout == ale.stdout


def test_plot(trained: tuple[Path, str], home: Path) -> None:
    done = inside("plot", trained[0], "-o", "curve.png", "--x", "time", cwd=home)
    assert (done.returncode, done.stdout) == (0, "wrote curve.png\n"), done
    assert (home / "curve.png").read_bytes().startswith(b"\x89PNG")


def test_info(home: Path) -> None:
    done = inside("info", cwd=home)
    assert done.returncode == 0, done
    table = dict(re.findall(r"^(\S.*?)  +(.+)$", done.stdout, re.M))
    assert {"fastpong", "python", "numpy", "ale-py", "cpu", "cores usable"} <= table.keys()
    assert table["emulator"] == "console, fastpong's own, for the ROM pong"
    assert re.fullmatch(r"[a-z, ]*numpy \(default: \w+\)", table["backends"])


def test_info_of_a_run(trained: tuple[Path, str], home: Path, run_copy: Path) -> None:
    def told(run: Path) -> dict[str, str]:
        done = inside("info", run, cwd=home)
        assert done.returncode == 0, done
        return dict(re.findall(r"^(\S.*?)  +(.+)$", done.stdout, re.M))

    table = told(trained[0])
    scores = [float(row["return"]) for row in rows(trained[0])]
    assert table["mean return"] == f"{np.mean(scores):+.2f}, of the last 3 episodes"
    steps = int(rows(trained[0])[-1]["total_steps"])
    assert table["trained"] == f"3 episodes, {steps:,} steps"
    assert (table["state"], table["seed"]) == ("ended", "0")
    assert re.fullmatch(r"0:\d\d:\d\d", table["wall time"])
    assert table["best evaluation"] == "none, trained without --eval-every"
    more = ("--episodes", 4, "--eval-every", 4, "--eval-episodes", 1, "--workers", 1)
    assert inside("train", "--resume", run_copy, *more, cwd=home).returncode == 0
    assert re.fullmatch(
        r"-\d+\.00 of 1 episode, after episode 4", told(run_copy)["best evaluation"]
    )
    settings = (run_copy / "config.toml").read_text()
    (run_copy / "config.toml").write_text(settings.replace("\nepisodes = 4", "\nepisodes = 9"))
    table = told(run_copy)
    assert table["state"] == f"interrupted; to go on: fastpong train --resume {run_copy}"


def test_info_of_a_run_that_goes_on(tmp_path: Path) -> None:
    with training("--run-dir", "run", cwd=tmp_path):
        done = inside("info", "run", cwd=tmp_path)
    assert re.search(r"^state +running, at episode \d+$", done.stdout, re.M), done


def test_version(home: Path) -> None:
    done = inside("--version", cwd=home)
    assert re.fullmatch(r"fastpong \d+\.\d+\.\d+\S*\n", done.stdout)


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("fastpong tr", "train"),
        ("fastpong train --batch", "--batch-size"),
        ("fastpong train --env Pong-v", "Pong-v4"),
        ("fastpong train --recipe pong-", "pong-sticky"),
        ("fastpong train --agent k", "keras"),
        ("fastpong train --exploration-f", "--exploration-final-eps"),
        ("fastpong eval --backend nump", "numpy"),
        ("fastpong plot --x c", "core-minutes"),
    ],
)
def test_completion(home: Path, words: str, offered: str) -> None:
    env = {"_FASTPONG_COMPLETE": "bash_complete", "COMP_WORDS": words}
    done = fastpong(cwd=home, env=env | {"COMP_CWORD": str(len(words.split()) - 1)})
    assert f",{offered}\n" in done.stdout


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_import_of_the_reference_model(tmp_path: Path, protocol: int) -> None:
    rng = np.random.default_rng(1)
    model = {"W1": rng.standard_normal((5, 6400)) / 80, "W2": rng.standard_normal(5)}
    (tmp_path / "save.p").write_bytes(pickle.dumps(model, protocol))
    done = inside("import", "save.p", "run", "--env", "PongDeterministic-v4", cwd=tmp_path)
    assert done.returncode == 0, done
    made = checkpoint.newest(tmp_path / "run" / "checkpoints")[0]
    assert made.episode == 0
    w1, w2 = made.arrays["parameters/0/w1"], made.arrays["parameters/0/w2"]
    np.testing.assert_array_equal(w1, model["W1"].T.astype(np.float32))
    np.testing.assert_array_equal(w2, model["W2"].astype(np.float32))
    if protocol == 2:
        done = inside("eval", "run", "--episodes", 1, "--workers", 1, cwd=tmp_path)
        assert done.returncode == 0, done
        settings = ["--episodes", 1, "--workers", 1]
        done = inside("train", "--resume", "run", *settings, cwd=tmp_path)
        assert done.returncode == 0, done
        assert len(rows(tmp_path / "run")) == 1
