"""Trainings and evaluations of scripts and notebooks."""

from __future__ import annotations

import gc
import importlib.util
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import played
from waiting import PATIENCE

import fastpong
from fastpong import kernels
from fastpong.cli import errors as cli
from fastpong.storage import checkpoint
from fastpong.storage.run import Run, RunError

SMALL: dict[str, Any] = {
    "agent": "karpathy", "env": "PongDeterministic-v4", "hidden": 4, "batch_size": 2, "workers": 1,
    "progress": False,
}  # fmt: skip


def weights(run: Path) -> dict[str, Any]:
    found, _ = checkpoint.newest(run / "checkpoints")
    return {name: array for name, array in found.arrays.items() if name.startswith("parameters")}


def same(first: dict[str, Any], second: dict[str, Any]) -> bool:
    return first.keys() == second.keys() and all(
        np.array_equal(array, second[name]) for name, array in first.items()
    )


# --- training -----------------------------------------------------------------------------------


def test_a_training_broken_off_and_resumed_is_the_one_that_went_on(tmp_path: Path) -> None:
    whole = fastpong.train(**SMALL, episodes=5, run_dir=tmp_path / "whole")
    episodes = [stats.episode for stats in whole]
    assert episodes == [1, 2, 3, 4, 5] and whole.outcome is not None
    assert whole.outcome.finished and whole.outcome.saved == 5
    assert [stats.episode for stats in whole] == []

    with fastpong.train(**SMALL, episodes=5, run_dir=tmp_path / "part") as part:
        for stats in part:
            if stats.episode == 3:
                break
    assert checkpoint.newest(tmp_path / "part" / "checkpoints")[0].episode == 3
    with pytest.raises(
        RuntimeError, match=r"is closed; fastpong\.train\(resume='.*part'\) goes on"
    ):
        part.run()
    outcome = fastpong.train(resume=tmp_path / "part", progress=False).run()
    assert outcome.finished and outcome.episode == 5
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "part"))
    assert played(tmp_path / "whole") == played(tmp_path / "part")


def test_a_training_that_nobody_holds_any_more_is_saved_and_closed(tmp_path: Path) -> None:
    training = fastpong.train(**SMALL, run_dir=tmp_path / "run")
    next(training)
    del training
    gc.collect()
    assert checkpoint.newest(tmp_path / "run" / "checkpoints")[0].episode >= 1
    Run.resume(tmp_path / "run").close()  # its lock is free


def test_settings_are_those_of_recipe_agent_or_environment(tmp_path: Path) -> None:
    def config(name: str, *arguments: str, **settings: Any) -> Any:
        training = fastpong.train(*arguments, progress=False, run_dir=tmp_path / name, **settings)
        training.close()
        return training.config

    assert config("a", "pong", until=None, workers=1).flat()["learning_rate"].startswith("linear")
    pong = config("b", "pong", until=None, n_steps=64)
    assert (pong.recipe, pong.until, pong.settings.n_steps) == ("pong", None, 64)
    assert config("c", env="ALE/Pong-v5").recipe == "pong-sticky"
    assert config("f", env="PongNoFrameskip-v4", frame_skip=4).env == "PongDeterministic-v4"
    with pytest.raises(ValueError, match=r"env: expected a frame skip and a sticky .*got 7 and 0"):
        config("g", env="PongDeterministic-v4", frame_skip=7)
    assert config("d", agent="keras", batch_size=3).settings.batch_size == 3
    assert config("e").recipe == "karpathy"


def test_wrong_arguments_are_refused_before_anything_is_made(tmp_path: Path) -> None:
    run = tmp_path / "run"
    for arguments, words in (
        ({"recipe": "ponk"}, "recipe: expected one of .* did you mean pong"),
        ({"agent": "ppp"}, "agent: expected one of karpathy, keras, ppo, dqn, got 'ppp'"),
        ({"recipe": "pong", "hiden": 4}, "hiden.*hidden"),
        ({"recipe": "ppo"}, "recipe: expected a recipe, got the agent 'ppo'; give agent instead"),
        ({"agent": "pong"}, "agent: expected an agent, got the recipe 'pong'; give recipe instead"),
        ({"recipe": "pong", "until": 22}, r"until: expected a number in \[-21, 21\], got 22"),
        ({"track": "comet"}, "track: expected one of wandb, mlflow, got 'comet'"),
        ({"recipe": "pong", "workers": 0}, "workers: expected an integer in"),
        ({"recipe": "pong", "run_dir": run, "resume": run}, "^recipe: expected none beside resume"),
    ):
        with pytest.raises(ValueError, match=words):
            fastpong.train(**{"run_dir": run, **arguments})
        assert not run.exists()
    with pytest.raises(RunError, match="expected a run"):
        fastpong.train(resume=tmp_path / "nothing")


def test_progress_is_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fastpong.train(**SMALL | {"progress": True}, episodes=2, run_dir=tmp_path / "run").run()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"training karpathy on PongDeterministic-v4 in {tmp_path / 'run'}"
    assert lines[-2].startswith("episode 2  return ") and "  last 2 " in lines[-2]
    assert lines[-1].startswith("ended after 2 episodes, ")
    assert not any("\r" in line or "\x1b" in line for line in lines)


SERVICE = """
import json
class Run:
    id = "one"
    def define_metric(self, *names, **settings): pass
    def log(self, scalars): write(scalars)
    def finish(self, exit_code): write({"exit": exit_code})
def init(**settings):
    write({"name": settings["name"]})
    return Run()
def write(found):
    with open(__file__ + ".log", "a") as file:
        file.write(json.dumps(found) + chr(10))
Settings = dict
"""


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return what a stand-in for wandb heard, which needs no network."""
    package = tmp_path / "site" / "wandb" / "__init__.py"
    package.parent.mkdir(parents=True)
    package.write_text(SERVICE)
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.delitem(sys.modules, "wandb", raising=False)

    def heard() -> list[dict[str, Any]]:
        log = Path(f"{package}.log")
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []

    yield heard
    sys.modules.pop("wandb", None)


def test_a_tracked_training_hears_of_every_episode_and_its_end(
    tmp_path: Path, service: Any
) -> None:
    run = tmp_path / "run"
    fastpong.train(**SMALL, episodes=3, run_dir=run, track="wandb").run()
    first, *episodes, last = service()
    assert (first, last) == ({"name": "run"}, {"exit": 0})
    assert [row["charts/episodic_length"] for row in episodes] == [
        int(row["length"]) for row in played(run)
    ]
    assert json.loads((run / "tracking.json").read_text()) == {"wandb": "one"}
    training = fastpong.train(resume=run, episodes=9, progress=False, track="wandb")
    training._episodes = failing()  # type: ignore[assignment]
    with pytest.raises(ArithmeticError):
        next(training)
    assert service()[-1] == {"exit": 1}


def failing() -> Iterator[Any]:
    raise ArithmeticError("diverged")
    yield


def test_a_tracker_that_is_not_there_is_said_before_anything_is_made(tmp_path: Path) -> None:
    for name in ("wandb", "mlflow"):
        if importlib.util.find_spec(name) is None:
            with pytest.raises(ImportError, match=f"track={name}: expected the package {name}, "):
                fastpong.train(**SMALL, run_dir=tmp_path / "run", track=name)
    assert not (tmp_path / "run").exists()


# --- scripts ------------------------------------------------------------------------------------

SCRIPT = """
import sys
import fastpong

print("once")
settings = dict(agent="karpathy", env="PongDeterministic-v4", hidden=4, batch_size=2, workers=2)
training = fastpong.train(**settings, run_dir="run", episodes=int(sys.argv[1]), progress=False)
for stats in training:
    print("episode", stats.episode, flush=True)
print(fastpong.evaluate(training, episodes=2, workers=2))
"""


def run_script(text: str, directory: Path, *arguments: str) -> subprocess.Popen[str]:
    (directory / "script.py").write_text(text)
    return subprocess.Popen(
        [sys.executable, "-P", "script.py", *arguments],
        cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_a_script_needs_no_main_guard(tmp_path: Path) -> None:
    process = run_script(SCRIPT, tmp_path, "2")
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0 and err == ""
    lines = out.splitlines()
    assert lines[:3] == ["once", "episode 1", "episode 2"] and len(lines) == 4
    assert lines[3].startswith("2 episodes: mean return -2")


def test_ctrl_c_in_a_script_saves_a_checkpoint_first(tmp_path: Path) -> None:
    process = run_script(SCRIPT, tmp_path, "100000")
    assert process.stdout is not None
    while process.stdout.readline() != "episode 2\n":
        assert process.poll() is None
    os.kill(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode != 0 and err.rstrip().endswith("KeyboardInterrupt")
    found, refusals = checkpoint.newest(tmp_path / "run" / "checkpoints")
    rows = (tmp_path / "run" / "metrics.csv").read_text().splitlines()
    assert found.episode == len(rows) - 1 >= 2 and refusals == []


OWN_AGENT = """
import fastpong
from fastpong.agents import AGENTS
from fastpong.agents.karpathy.agent import Karpathy

class Mine(Karpathy):
    pass

AGENTS["mine"] = Mine

if __name__ == "__main__":
    from fastpong.settings.config import Config
    from fastpong.storage.run import Run
    from fastpong.training.session import Session

    config = Config.build(dict(agent="mine", env="PongDeterministic-v4", episodes=1, hidden=4))
    with Session(config) as session, Run.create("run", config) as run:
        print(session.train(run).finished)
"""


def test_workers_know_an_agent_that_the_script_registers(tmp_path: Path) -> None:
    out, err = run_script(OWN_AGENT, tmp_path).communicate(timeout=PATIENCE)
    assert (out, err) == ("True\n", "")


# --- evaluation ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("api") / "run"
    fastpong.train(**SMALL, episodes=2, run_dir=directory).run()
    return directory


def test_evaluation_plays_the_games_of_the_command(
    run: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    found = fastpong.evaluate(run, episodes=3, seed=4, workers=2)
    assert cli.run(["eval", str(run), "--episodes", "3", "--seed", "4", "--workers", "1"]) == 0
    out = capfd.readouterr().out
    assert [f"{found.mean:.2f}", f"{found.deviation:.2f}"] == [
        line.split()[-1] for line in out.splitlines() if line.startswith(("mean  ", "standard"))
    ]
    for game in found.games:
        assert f"return {game.score:+.0f}  length {game.length}" in out
    assert found == fastpong.evaluate(fastpong.load(run), episodes=3, seed=4)
    other = fastpong.evaluate(run, episodes=3, seed=4, deterministic=True)
    assert other.games != found.games and len({game.length for game in other.games}) == 1
    with pytest.warns(UserWarning, match="^frameskip is 1, the agent was trained with 4; "):
        there = fastpong.evaluate(run, episodes=1, env="PongNoFrameskip-v4", emulator="ale")
    assert there.games[0].length == there.games[0].frames


def test_evaluation_elsewhere_is_warned_of(run: Path) -> None:
    asked: dict[str, Any] = {"episodes": 1, "workers": 1}
    with pytest.warns(UserWarning, match=r"^repeat_action_probability is 0\.25, .* would show$"):
        sticky = fastpong.evaluate(run, sticky=0.25, **asked)
    with pytest.warns(UserWarning, match=r"^repeat_action_probability is 0\.25"):
        assert sticky == fastpong.evaluate(fastpong.load(run), env="ALE/Pong-v5", **asked)
    with pytest.raises(ValueError, match=r"^env: expected a frame skip and a sticky .*got 9 and 0"):
        fastpong.evaluate(run, frame_skip=9)


def test_evaluation_answers_names_of_others(run: Path) -> None:
    for name, told in (
        ("n_eval_episodes", "is called episodes here"),
        ("greedy", "is called deterministic here"),
        ("episode", "expected an argument of fastpong.evaluate, .* the nearest is episodes, all"),
    ):
        with pytest.raises(TypeError, match=f"^{name}: {told}"):
            fastpong.evaluate(run, **{name: 1})


def test_evaluation_refuses_numbers_that_are_none(run: Path) -> None:
    for arguments, name in (({"episodes": 0}, "episodes"), ({"workers": True}, "workers")):
        with pytest.raises(ValueError, match=f"^{name}: expected an integer >= 1"):
            fastpong.evaluate(run, **arguments)  # type: ignore[arg-type]


# --- the package --------------------------------------------------------------------------------


def test_importing_fastpong_imports_nothing_heavy() -> None:
    code = (
        "import fastpong, sys, time\\n"
        "assert {'load', 'train', 'evaluate', 'Policy'} <= set(dir(fastpong))\\n"
        "print(sorted({'numpy', 'numba', 'click', 'multiprocessing', 'fastpong.api'}"
        " & set(sys.modules)))"
    ).replace("\\n", "\n")
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")
    # The compiled kernels are found whatever is imported first.
    code = "import fastpong; print(fastpong.load('pong').player.backend)"
    done = subprocess.run(
        [sys.executable, "-P", "-W", "error", "-c", code], capture_output=True, text=True
    )
    assert done.stdout == f"{kernels.get_backend().name}\n", done.stderr
    with pytest.raises(AttributeError, match="no attribute 'lode'"):
        fastpong.lode  # noqa: B018


def test_a_policy_of_a_training_is_that_of_its_run(run: Path) -> None:
    training = fastpong.train(resume=run, episodes=3, progress=False)
    training.run()
    policy = training.policy(seed=1)
    expected = weights(run)
    for name, array in policy.parameters.items():
        assert np.array_equal(array, expected[f"parameters/0/{name}"])
