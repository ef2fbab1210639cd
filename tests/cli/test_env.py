"""Environments by gymnasium's words, and their line for gymnasium."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import SMALL, inside, played

import fastpong as api
from fastpong.settings.config import Config
from fastpong.storage import checkpoint

V5 = ("--env", "ALE/Pong-v5", "--frame-skip", 4, "--sticky", 0)
PAIR = ("--episodes", 2, "--run-dir", "run")


def test_v5_without_stickiness_is_the_same_run(tmp_path: Path) -> None:
    found = []
    for name, words in (("ours", SMALL[:2]), ("theirs", V5)):
        (tmp_path / name).mkdir()
        done = inside("train", *words, *SMALL[2:], *PAIR, cwd=tmp_path / name)
        assert done.returncode == 0, done
        run = tmp_path / name / "run"
        found.append((played(run), checkpoint.newest(run / "checkpoints")[0].arrays))
        assert Config.load(run / "config.toml")["env"] == "PongDeterministic-v4"
    (ours, mine), (theirs, other) = found
    assert ours == theirs
    assert all(np.array_equal(mine[name], other[name]) for name in mine)
    resumed = inside("train", "--resume", "run", *V5, "--episodes", 3, cwd=tmp_path / "theirs")
    assert resumed.returncode == 0, resumed


def test_another_name_than_that_asked_for_is_explained(tmp_path: Path) -> None:
    done = inside("train", *V5, *SMALL[2:], "--episodes", 1, "--run-dir", "run", cwd=tmp_path)
    assert done.stdout.startswith(
        "PongDeterministic-v4 is fastpong's name of gymnasium.make('ALE/Pong-v5', frameskip=4, "
        "repeat_action_probability=0.0)\n"
    )
    assert "training karpathy on PongDeterministic-v4: 1 episode, 1 worker, " in done.stdout
    assert "trained 1 episode, " in done.stdout


def test_gymnasiums_own_word_is_taken_too(complain: Any) -> None:
    words = ("--env", "ALE/Pong-v5", "--repeat-action-probability", "0.1")
    status, message = complain("train", *words)
    assert status == 2 and message.startswith("fastpong: error: --env: expected a frame skip and a")
    assert "got 4 and 0.1" in message
    assert "--sticky: expected --env beside it" in complain("train", "--sticky", "0")[1]
    assert "--frame-skip: expected --env beside it" in complain("train", "--frame-skip", 4)[1]


def test_the_same_from_a_script(tmp_path: Path) -> None:
    made = api.train(
        env="ALE/Pong-v5", frame_skip=4, sticky=0.0, run_dir=tmp_path / "run", workers=1,
        progress=False,
    )  # fmt: skip
    made.close()
    assert made.config.env == "PongDeterministic-v4"
    with pytest.raises(ValueError, match="sticky: expected env beside it"):
        api.train("pong", sticky=0.0)


@pytest.mark.parametrize(
    ("source", "line", "stage"),
    [
        ("pong", "gymnasium.make('ALE/Pong-v5', frameskip=4, repeat_action_probability=0.0)", None),
        ("keras", "gymnasium.make('ALE/Pong-v5', frameskip=(2, 5), repeat_action_probability=0.25)",
         None),
        ("pong-sticky",
         "gymnasium.make('ALE/Pong-v5', frameskip=1, repeat_action_probability=0.25)", "4 of 4"),
    ],
)  # fmt: skip
def test_info_of_an_agent_has_the_line_for_gymnasium(
    home: Path, source: str, line: str, stage: str | None
) -> None:
    done = inside("info", source, cwd=home)
    assert done.returncode == 0, done
    table = dict(re.findall(r"^(\S.*?)  +(.+)$", done.stdout, re.M))
    assert table["in gymnasium"] == line
    assert table["checkpoint"].endswith(f"{source}.safetensors")
    assert (stage is None) == ("stage" not in table)
    if stage is not None:
        assert table["stage"].startswith(stage)


def test_info_of_a_run_tells_where_its_weights_came_from(
    home: Path, trained: tuple[Path, str]
) -> None:
    done = inside("info", trained[0], cwd=home)
    table = dict(re.findall(r"^(\S.*?)  +(.+)$", done.stdout, re.M))
    assert table["trained"].startswith("3 episodes, ")
    assert table["recipe"] == "karpathy" and "begun with" not in table
    made = inside("train", "--init-from", trained[0], "--episodes", 1, "--run-dir", "new", cwd=home)
    assert made.returncode == 0, made
    done = inside("info", "new", cwd=home)
    assert re.search(rf"^begun with +the weights of {trained[0]}$", done.stdout, re.M)
