"""Evaluations while a run trains: what they write, what they keep, and that they change nothing."""

from __future__ import annotations

import csv
import hashlib
import shutil
from pathlib import Path
from typing import Any

import pytest

import fastpong
from fastpong.settings.config import Config
from fastpong.storage import checkpoint
from fastpong.storage.checkpoint import CheckpointError
from fastpong.storage.evaluations import EvaluationRow, read_evaluations
from fastpong.storage.run import Run
from fastpong.storage.weights import exported
from fastpong.training.evaluation import evaluate, restore, summarize
from fastpong.training.periodic import BEST, SEED, read_best
from fastpong.training.session import Outcome, Session

SMALL = {"env": "PongDeterministic-v4", "hidden": 4, "batch_size": 2, "workers": 1}
EPISODES, EVERY = 5, 2
EXAMS = {"eval_every": EVERY, "eval_episodes": 2}
PPO = {
    **{"agent": "ppo", "env": "PongDeterministic-v4", "hidden": 8, "n_envs": 4, "n_steps": 200},
    **{"cell_size": 8, "coarse_cells": "", "batch_size": 100, "n_epochs": 1, "workers": 1},
}


def train(directory: Path, values: dict[str, Any], stop: Any = lambda: False) -> Outcome:
    config = Config.build(values)
    with Session(config) as session, Run.create(directory, config) as run:
        return session.train(run, stop=stop)


def resume(directory: Path, **overrides: Any) -> Outcome:
    with Run.resume(directory, overrides=overrides) as run, Session(run.config) as session:
        return session.train(run)


def table(directory: Path) -> list[dict[str, str]]:
    with (directory / "evaluations.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def timeless(directory: Path) -> list[dict[str, str]]:
    return [row | {"wall_seconds": ""} for row in table(directory)]


def digest(directory: Path) -> str:
    """Return a hash of all arrays of the newest checkpoint."""
    found, _ = checkpoint.newest(directory / "checkpoints")
    whole = hashlib.sha256()
    for name, array in sorted(found.arrays.items()):
        whole.update(name.encode() + array.tobytes())
    return whole.hexdigest()


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("plain") / "run"
    train(directory, {**SMALL, "episodes": EPISODES, "save_every": 1})
    return directory


@pytest.fixture(scope="module")
def examined(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("examined") / "run"
    train(directory, {**SMALL, **EXAMS, "episodes": EPISODES, "save_every": 1})
    return directory


def test_training_is_the_same_to_the_bit(plain: Path, examined: Path) -> None:
    assert digest(plain) == digest(examined)
    assert not (plain / "evaluations.csv").exists() and not (plain / BEST).exists()


def test_ppo_trains_the_same_with_and_without(tmp_path: Path) -> None:
    """It ends with an update, after which the averaged weights are evaluated."""
    limit = {"total_timesteps": 6400}
    train(tmp_path / "a", {**PPO, **limit})
    train(tmp_path / "b", {**PPO, **limit, "eval_every": 1, "eval_episodes": 1})
    assert digest(tmp_path / "a") == digest(tmp_path / "b")
    last = table(tmp_path / "b")[-1]
    assert last["total_steps"] == "6400"
    found, _ = checkpoint.newest(tmp_path / "b" / "checkpoints")
    player, parameters = restore(found, "cython", seed=SEED)
    (game,) = evaluate(player, parameters, episodes=1, workers=1)
    assert float(last["mean"]) == game.score and float(last["mean_length"]) == game.length


def test_every_row_is_the_evaluation_of_its_checkpoint(examined: Path) -> None:
    rows = table(examined)
    assert [row["episode"] for row in rows] == ["2", "4", "5"], "and the end of the run"
    for row in rows[1:]:  # the newest three checkpoints are kept
        found = checkpoint.load(examined / "checkpoints" / f"{int(row['episode']):08d}.json")
        player, parameters = restore(found, "cython", seed=SEED)
        games = list(evaluate(player, parameters, episodes=2, workers=1))
        summary = summarize([game.score for game in games], [game.length for game in games])
        line = EvaluationRow.parse(",".join(row.values()).encode())
        assert (line.mean, line.deviation) == (summary.mean, summary.deviation)
        assert (line.lowest, line.highest) == (summary.lowest, summary.highest)
        assert (line.wins, line.mean_length) == (summary.wins, summary.mean_length)
        assert line.total_steps == found.manifest["counters"]["total_steps"]
        assert line.eval_episodes == 2


def test_one_episode_has_no_deviation_and_is_read_back(tmp_path: Path) -> None:
    train(tmp_path / "run", {**SMALL, "episodes": 1, "eval_every": 1, "eval_episodes": 1})
    assert table(tmp_path / "run")[0]["deviation"] == "nan"
    (row,) = read_evaluations(tmp_path / "run")
    assert row.deviation is None and row == read_best(tmp_path / "run")


def test_the_best_weights_are_those_of_the_first_highest_row(examined: Path) -> None:
    best = max(table(examined), key=lambda row: float(row["mean"]))
    kept = read_best(examined)
    assert kept is not None and kept.line().decode().strip() == ",".join(best.values())
    found = exported.read(examined / BEST)
    assert found.about["evaluation"]["seed"] == SEED
    summary = fastpong.evaluate(examined / BEST, episodes=2, seed=SEED, workers=1)
    assert summary.mean == float(best["mean"])
    assert fastpong.load(examined / BEST).player.agent == "karpathy"


def test_a_better_evaluation_replaces_the_best_and_a_worse_one_does_not(tmp_path: Path) -> None:
    """The mean that a resumed run has to beat is the file's."""
    for mean, replaced in ((-30.0, True), (30.0, False)):
        directory = tmp_path / str(mean)
        train(directory, {**SMALL, **EXAMS, "episodes": 2, "save_every": 1})
        kept = exported.read(directory / BEST)
        claimed = {**kept.about, "evaluation": {**kept.about["evaluation"], "mean": mean}}
        (directory / BEST).write_bytes(exported.dump(kept.arrays, claimed))
        resume(directory, episodes=4)
        best = read_best(directory)
        assert best is not None and (best.mean != mean) == replaced


def test_a_resumed_run_has_the_same_rows_and_makes_up_for_a_lost_one(
    examined: Path, tmp_path: Path
) -> None:
    config = Config.build({**SMALL, **EXAMS, "episodes": EPISODES})
    asked: list[int] = []
    with Session(config) as session, Run.create(tmp_path / "run", config) as run:

        def seen(row: EvaluationRow, best: float) -> None:
            asked.append(row.episode)

        # As a signal does: between the fourth episode and its evaluation.
        stats = session.episodes(run, evaluated=seen, stop=lambda: bool(asked) and played == 4)
        played = 0
        for episode in stats:
            played = episode.episode
    assert asked == [2] and played == 4
    resume(tmp_path / "run")
    assert timeless(tmp_path / "run") == timeless(examined)
    again, once = (exported.read(path / BEST) for path in (tmp_path / "run", examined))
    assert again.episode == once.episode
    assert all((again.arrays[name] == array).all() for name, array in once.arrays.items())
    assert digest(tmp_path / "run") == digest(examined)


def test_rows_from_after_the_checkpoint_are_cut_off(tmp_path: Path) -> None:
    train(tmp_path / "run", {**SMALL, **EXAMS, "episodes": 4, "save_every": 2})
    before = timeless(tmp_path / "run")
    for path in (tmp_path / "run" / "checkpoints").glob("00000004.*"):
        path.unlink()
    steps = int(table(tmp_path / "run")[-1]["total_steps"])
    fourth = {"episode": 4, "total_steps": steps, "mean": 20.0}
    best = exported.read(tmp_path / "run" / BEST)
    claimed = {**best.about, "evaluation": {**best.about["evaluation"], **fourth}}
    (tmp_path / "run" / BEST).write_bytes(exported.dump(best.arrays, claimed))
    with pytest.warns(
        UserWarning, match="is of episode 4, .* earlier checkpoint; it is now best-4"
    ):
        resume(tmp_path / "run")
    again = read_best(tmp_path / "run")
    assert again is not None and again.mean < 20
    assert exported.read(tmp_path / "run" / "best-4.safetensors").about == claimed
    assert timeless(tmp_path / "run") == before


def test_an_unreadable_best_is_said_and_replaced(tmp_path: Path) -> None:
    train(tmp_path / "run", {**SMALL, **EXAMS, "episodes": 2, "save_every": 1})
    (tmp_path / "run" / BEST).write_bytes(b"nothing")
    with pytest.warns(UserWarning, match=r"best\.safetensors: is not readable.*be replaced"):
        resume(tmp_path / "run", episodes=4)
    assert read_best(tmp_path / "run") is not None


def test_the_best_of_fewer_episodes_is_set_aside(examined: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(examined, tmp_path / "run"))
    before = read_best(run)
    assert before is not None
    with pytest.warns(UserWarning, match="best by 2 episodes each, and now 3 are played"):
        resume(run, episodes=6, eval_episodes=3)
    after = read_best(run)
    assert after is not None and (after.episode, after.eval_episodes) == (6, 3)
    assert (run / f"best-{before.episode}.safetensors").read_bytes() == (
        examined / BEST
    ).read_bytes()


@pytest.mark.parametrize("damage", [{"mean": None}, {"episode": "x"}, {"wins": float("inf")}])
def test_a_damaged_evaluation_of_the_best_is_refused(
    examined: Path, tmp_path: Path, damage: dict[str, Any]
) -> None:
    best = exported.read(examined / BEST)
    claimed = {**best.about, "evaluation": {**best.about["evaluation"], **damage}}
    (tmp_path / BEST).write_bytes(exported.dump(best.arrays, claimed))
    with pytest.raises(CheckpointError, match="expected the evaluation of these weights"):
        read_best(tmp_path)
