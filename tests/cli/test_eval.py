"""``fastpong eval``: without a run, of a directory of runs, quiet, as JSON, of foreign files."""

from __future__ import annotations

import json
import pickle
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import complaint, inside

ONE = ("--episodes", 1, "--workers", 1)


@pytest.fixture
def runs(trained: tuple[Path, str], tmp_path: Path) -> Path:
    """Two runs in a directory, of which "b" is the newer one."""
    for name in ("a", "b"):
        shutil.copytree(trained[0], tmp_path / "runs" / name)
        (tmp_path / "runs" / name / "config.toml").touch()
    return tmp_path / "runs"


def test_without_a_run_the_newest_plays(runs: Path) -> None:
    done = inside("eval", *ONE, cwd=runs.parent)
    assert done.returncode == 0, done
    assert done.stdout.startswith("runs/b/checkpoints/00000003.json: karpathy after 3 episodes")


def test_without_any_run_pretrained_weights_play(tmp_path: Path) -> None:
    done = inside("eval", *ONE, "-q", cwd=tmp_path)
    assert done.returncode == 0, done
    assert re.match(r"\S+pong\.safetensors: ppo after [\d,]+ episodes", done.stdout)


@pytest.mark.parametrize(
    "command",
    [
        ("eval", "runs"),
        ("export", "runs", "x.safetensors"),
        ("train", "--resume", "runs"),
        ("video", "runs", "-o", "x.gif"),
    ],
)
def test_a_directory_of_runs_lists_them(
    complain: Any, runs: Path, command: tuple[str, ...]
) -> None:
    status, message = complain(*command)
    assert status == 1
    assert "runs: expected a run" in message
    assert "a directory with 2 runs; name one of them, the newest first: runs/b, runs/a" in message


def test_quiet_leaves_out_the_episodes(trained: tuple[Path, str], home: Path) -> None:
    loud, quiet = (inside("eval", trained[0], *ONE, *q, cwd=home) for q in ((), ("--quiet",)))
    lines = loud.stdout.splitlines()
    assert lines[1].startswith("episode 1  return ")
    assert quiet.stdout.splitlines() == [lines[0], *lines[2:]]


def test_json_is_one_object_with_every_episode(trained: tuple[Path, str], home: Path) -> None:
    asked = ("--episodes", 3, "--workers", 1, "--seed", 5)
    loud, done = (inside("eval", trained[0], *asked, *j, cwd=home) for j in ((), ("--json",)))
    found = json.loads(done.stdout)
    played = re.findall(r"^episode \d+  return ([+-]\d+)  length (\d+)$", loud.stdout, re.M)
    assert found["returns"] == [float(score) for score, _ in played]
    assert found["lengths"] == [int(length) for _, length in played]
    assert found["mean"] == np.mean(found["returns"])
    assert found["standard_deviation"] == pytest.approx(np.std(found["returns"], ddof=1))
    assert (found["episodes"], found["wins"], found["seed"]) == (3, 0, 5)
    assert (found["agent"], found["env"]) == ("karpathy", "PongDeterministic-v4")
    assert Path(found["checkpoint"]) == trained[0] / "checkpoints" / "00000003.json"


def test_one_episode_has_no_deviation(trained: tuple[Path, str], home: Path) -> None:
    table = inside("eval", trained[0], *ONE, "-q", cwd=home)
    assert re.search(r"^standard deviation +-$", table.stdout, re.M)
    found = json.loads(inside("eval", trained[0], *ONE, "--json", cwd=home).stdout)
    assert found["standard_deviation"] is None and found["episodes"] == 1


# --- another checkpoint, another environment ----------------------------------------------------


def test_an_older_checkpoint_plays_by_its_number_or_its_file(
    trained: tuple[Path, str], home: Path
) -> None:
    run, file = trained[0], trained[0] / "checkpoints" / "00000002.json"
    outs = [
        inside("eval", *words, *ONE, cwd=home).stdout
        for words in (
            (run, "--checkpoint", 2), (run, "--checkpoint", file), (file,),
            (run, "--checkpoint", "00000002.json"),
        )
    ]  # fmt: skip
    assert len({*outs}) == 1 and outs[0].startswith(f"{file}: karpathy after 2 episodes, plays")


def test_a_checkpoint_that_is_not_there_is_answered_with_those_there_are(
    complain: Any, trained: tuple[Path, str]
) -> None:
    status, message = complain("eval", trained[0], "--checkpoint", 7)
    assert status == 2 and "--checkpoint: expected an episode that " in message
    assert "has a checkpoint of, 0, 2, 3, got 7" in message
    message = complain("eval", "pong", "--checkpoint", 7)[1]
    assert "--checkpoint: expected a run with checkpoints, got pong" in message
    assert (
        "nowhere.json: does not exist"
        in complain("eval", "pong", "--checkpoint", "nowhere.json")[1]
    )


@pytest.mark.parametrize(
    ("words", "env", "told"),
    [
        (("--sticky", 0.25), "ALE/Pong-v5",
         "repeat_action_probability is 0.25, the agent was trained with 0; "),
        (("--frame-skip", 1), "PongNoFrameskip-v4",
         "frameskip is 1, the agent was trained with 4; "),
        (("--env", "Pong-v0"), "Pong-v0",
         "frameskip is 2 or 3 or 4, the agent was trained with 4; repeat_action_probability is "
         "0.25, the agent was trained with 0; "),
    ],
)  # fmt: skip
def test_an_environment_unlike_trainings_is_warned_of_once(
    trained: tuple[Path, str], home: Path, words: tuple[object, ...], env: str, told: str
) -> None:
    done = inside("eval", trained[0], *words, *ONE, "-q", cwd=home)
    assert done.returncode == 0 and f"episodes, plays {env}\n" in done.stdout, done
    assert done.stderr == (
        f"fastpong: warning: {told}the agent plays worse there than gymnasium.make('ALE/Pong-v5', "
        "frameskip=4, repeat_action_probability=0.0) would show\n"
    )
    named = inside("eval", trained[0], "--env", env, *ONE, "-q", cwd=home)
    assert named.stdout == done.stdout


def test_the_same_environment_by_gymnasiums_words_is_no_other(
    trained: tuple[Path, str], home: Path
) -> None:
    words = ("--env", "ALE/Pong-v5", "--sticky", 0)
    done = inside("eval", trained[0], *words, *ONE, cwd=home)
    plain = inside("eval", trained[0], *ONE, cwd=home)
    line, _, rest = done.stdout.partition("\n")
    assert (rest, done.stderr) == (plain.stdout, "")
    assert line == (
        "PongDeterministic-v4 is fastpong's name of gymnasium.make('ALE/Pong-v5', frameskip=4, "
        "repeat_action_probability=0.0)"
    )


def test_a_stage_with_a_frame_skip_of_its_own_plays_with_another(tmp_path: Path) -> None:
    words = ("eval", "pong-sticky", *ONE, "--sticky", 0, "--json")
    found = [
        json.loads(inside(*words, *skip, cwd=tmp_path).stdout) for skip in ((), ("--frame-skip", 2))
    ]
    assert [play["frame_skip"] for play in found] == [[1], [2]]
    assert {play["env"] for play in found} == {"PongDeterministic-v4"}
    for play, frames in zip(found, (1, 2), strict=True):
        noops = play["frames"][0] - frames * play["lengths"][0]
        assert -frames < noops <= 30
        assert play["mean"] > 10


def test_an_environment_that_there_is_not_is_one_message(
    complain: Any, trained: tuple[Path, str]
) -> None:
    status, message = complain("eval", trained[0], "--frame-skip", 7)
    assert status == 2 and "--env: expected a frame skip and a sticky probability of" in message
    assert "got 7 and 0" in message
    status, message = complain("eval", "pong-sticky", "--frame-skip", 3)
    assert status == 2 and "--frame-skip: expected an environment that plays an action" in message


def test_a_foreign_file_is_named_with_the_way_to_play_it(complain: Any, tmp_path: Path) -> None:
    (tmp_path / "save.p").write_bytes(pickle.dumps({"W1": np.zeros((2, 6400)), "W2": np.zeros(2)}))
    assert (
        "save.p: is a pickle; to make a run of it: fastpong import save.p"
        in complain("eval", "save.p")[1]
    )
    (tmp_path / "model.onnx").write_bytes(b"\x08\x08")
    assert "expected an agent, got an ONNX model" in complain("eval", "model.onnx")[1]
    (tmp_path / "notes.json").write_text("{}")
    message = complain("eval", "notes.json")[1]
    assert "is not a checkpoint's manifest; name a run" in message
    assert "older" not in message


# --- names of files in a run --------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["checkpoints/00000003.json", "checkpoints/00000003.safetensors", "checkpoints", "config.toml"],
)
def test_a_run_is_resumed_by_its_files_too(run_copy: Path, name: str) -> None:
    done = inside("train", "--resume", run_copy / name, "--episodes", 4, cwd=run_copy)
    assert done.returncode == 0, done
    assert f"going on after episode 3 of {run_copy}\n" in done.stdout


def test_an_older_checkpoint_says_both_ways_on(run_copy: Path) -> None:
    older = run_copy / "checkpoints" / "00000002.json"
    message = complaint(inside("train", "--resume", older, cwd=run_copy))
    assert "expected the newest checkpoint of a run" in message and "00000003.json" in message
    assert f"fastpong train --resume {run_copy};" in message
    assert f"fastpong train --init-from {older}" in message


def test_the_best_weights_of_a_run_are_no_place_to_go_on_from(
    complain: Any, run_copy: Path
) -> None:
    best = run_copy / "my best.safetensors"
    best.write_bytes(b"")
    message = complain("train", "--resume", best)[1]
    assert "expected the newest checkpoint of a run" in message
    assert f"fastpong train --init-from '{best}'" in message


def test_exported_weights_are_no_place_to_go_on_from(
    complain: Any, trained: tuple[Path, str], home: Path, tmp_path: Path
) -> None:
    assert inside("export", trained[0], tmp_path / "a b.safetensors", cwd=home).returncode == 0
    status, message = complain("train", "--resume", "a b.safetensors")
    assert status == 1 and "--resume: expected a run's directory, got weights" in message
    assert "fastpong train --init-from 'a b.safetensors'" in message
    (tmp_path / "save.p").write_bytes(pickle.dumps({"W1": np.zeros((2, 6400)), "W2": np.zeros(2)}))
    assert "fastpong import save.p" in complain("train", "--resume", "save.p")[1]


# --- files that cannot be written ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "name"),
    [("export", "w.safetensors"), ("plot", "curve.png"), ("video", "film.gif")],
)
def test_an_output_that_cannot_be_written_is_one_sentence(
    complain: Any, run_copy: Path, tmp_path: Path, command: str, name: str
) -> None:
    def failure(path: Path) -> str:
        words = (path,) if command == "export" else ("-o", path)
        status, message = complain(command, run_copy, *words)
        assert status == 1 and "Errno" not in message and ".tmp" not in message
        return str(message)

    nowhere = tmp_path / "nowhere"
    assert f"expected a directory {nowhere}, found none; make it: mkdir" in failure(nowhere / name)
    (tmp_path / name).mkdir()
    assert "expected a file to write, got a directory" in failure(tmp_path / name)
    (tmp_path / "file").touch()
    assert f"expected a directory {tmp_path / 'file'}, got a file" in failure(
        tmp_path / "file" / name
    )
