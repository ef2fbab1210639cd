"""Evaluation: the same games for any number of workers, other games than training's."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from training_cases import after, stages_of

from fastpong import kernels
from fastpong.agents.protocol import Chance
from fastpong.envs.draws import EVAL, TRAIN
from fastpong.settings.config import Config
from fastpong.storage import checkpoint
from fastpong.storage.checkpoint import Checkpoint, CheckpointError
from fastpong.training.evaluation import Game, Player, Summary, evaluate, restore, summarize

ENV = "PongDeterministic-v4"
BACKEND = kernels.get_backend().name
STAGES = tuple(stages_of("karpathy", env=ENV, hidden=4))
PLAYER = Player(ENV, STAGES, 0, BACKEND, "float64", seed=3)


def parameters(seed: int = 0) -> dict[str, Any]:
    return PLAYER.plan().stages[0].spec.initial_parameters(seed)


def play(player: Player, episodes: int, workers: int) -> list[Game]:
    return list(evaluate(player, parameters(), episodes=episodes, workers=workers))


def test_games_are_the_evaluation_streams_for_any_number_of_workers() -> None:
    games = play(PLAYER, episodes=2, workers=1)
    assert [game.number for game in games] == [0, 1]
    assert games == play(PLAYER, episodes=2, workers=2)

    def here(stream: int) -> list[tuple[float, int, int]]:
        stage = PLAYER.plan().stages[0]
        actor: Any = stage.spec.actor(stage, Chance(PLAYER.seed, stream))
        results = [actor.play(number, parameters()) for number in range(2)]
        return [(result.score, result.length, result.frames) for result in results]

    assert [(game.score, game.length, game.frames) for game in games] == here(EVAL)
    assert here(EVAL) != here(TRAIN)


def test_another_seed_plays_other_games_and_greedy_without_chance_always_the_same() -> None:
    other = dataclasses.replace(PLAYER, seed=4)
    assert play(PLAYER, 1, 1) != play(other, 1, 1)
    greedy, *more = play(dataclasses.replace(PLAYER, greedy=True), episodes=2, workers=1)
    assert more == [dataclasses.replace(greedy, number=1)]


def test_stop_ends_it_early() -> None:
    games: list[Game] = []
    for game in evaluate(
        PLAYER, parameters(), episodes=10_000, workers=1, stop=lambda: len(games) > 0
    ):
        games.append(game)
    assert len(games) == 1


def test_parameters_that_do_not_fit_are_refused() -> None:
    wrong = parameters() | {"w2": np.zeros(5)}
    with pytest.raises(ValueError, match=r"'w2' of shape \(4,\), got \(5,\)"):
        list(evaluate(PLAYER, wrong, episodes=1, workers=1))


def test_weights_of_other_settings_are_refused_before_anything_is_played(tmp_path: Path) -> None:
    weights = {f"parameters/0/{name}": array for name, array in parameters().items()}
    for hidden, episode in ((4, 1), (5, 2)):
        config = Config.build(
            {"agent": "karpathy", "env": ENV, "hidden": hidden, "dtype": "float64"}
        )
        manifest = {"config": config.flat(), "counters": {"task": 0}}
        checkpoint.save(tmp_path, episode, weights, manifest)
    player, found = restore(checkpoint.load(tmp_path / "00000001.json"), BACKEND)
    assert player.stages == STAGES and found.keys() == parameters().keys()
    with pytest.raises(CheckpointError, match=r"another kind \(w1: expected .*5.*, got .*4"):
        restore(checkpoint.load(tmp_path / "00000002.json"), BACKEND)


# --- stages -------------------------------------------------------------------------------------

RUN: dict[str, Any] = {
    **{"agent": "dqn", "env": "ALE/Pong-v5", "hidden": 20, "n_envs": 3, "n_steps": 40},
    **{"batch_size": 50, "replay_ratio": 1.0, "n_step": 7, "cell_size": 8, "coarse_cells": ""},
    **{"learning_starts": 0, "buffer_size": 500, "backend": "cython", "dtype": "float64"},
    "stages": [
        {"from_step": 300, "frame_skip": 2},  # begins after 360 steps, 3 updates
        {"from_step": 600, "frame_skip": 1},
        {"from_step": 840, "agent": "ppo", "policy_temperature": 0.5},
    ],
}
"""Stages begin with updates 0, 3, 5 and 7."""


def saved(updates: int) -> tuple[Checkpoint, Any]:
    config = Config.build(RUN)
    made = after(updates, config.env, config.stages)
    manifest = {"config": config.flat(), "counters": {"task": 3 * updates}}
    return Checkpoint(Path("it.json"), manifest, made.arrays()), made


@pytest.mark.parametrize(
    ("updates", "stage", "frames"),
    [(1, 0, 4), (2, 0, 4), (3, 1, 2), (4, 1, 2), (5, 2, 1), (6, 2, 1), (7, 3, 1), (8, 3, 1)],
)
def test_a_checkpoint_is_evaluated_in_the_stage_that_it_has_come_to(
    updates: int, stage: int, frames: int
) -> None:
    """At the boundary, too: the next rollouts would be played in the next stage."""
    found, made = saved(updates)
    player, averages = restore(found, "cython", seed=3, greedy=True)
    assert (player.stage, player.agent) == (stage, "ppo" if stage == 3 else "dqn")
    for name in ("rows", "units"):
        assert np.array_equal(averages[name], made.evaluated()[name])
        average = found.arrays[f"state/average/{name}"]
        # Nothing can be sampled from the first rollouts.
        assert np.array_equal(averages[name], average) == (updates > 1)
    planned = player.plan().stages[player.stage]
    actor: Any = planned.spec.actor(planned, Chance(3, EVAL, True))
    game = actor.play(0, averages)
    assert 0 <= game.frames - frames * game.length <= 30
    whole = Config.build(RUN)
    full = dataclasses.replace(player, stages=whole.stages).plan().stages[stage]
    assert full.spec.actor(full, Chance(3, EVAL, True)).play(0, averages) == game


def test_the_games_of_a_later_stage_are_played_over_a_pool() -> None:
    player, averages = restore(saved(4)[0], "cython", seed=3)
    planned = player.plan().stages[player.stage]
    actor: Any = planned.spec.actor(planned, Chance(3, EVAL))
    for game in evaluate(player, averages, episodes=2, workers=2):
        here = actor.play(game.number, averages)
        assert (game.score, game.length, game.frames) == (here.score, here.length, here.frames)


def test_another_environment_has_to_have_the_frame_skips_up_to_the_checkpoint() -> None:
    for updates, fits in ((2, True), (4, False), (6, False)):
        found, _ = saved(updates)
        for env in ("PongNoFrameskip-v4", "Pong-v0"):
            if fits:
                assert restore(found, "cython", env=env)[0].env == env
            else:
                with pytest.raises(CheckpointError, match=rf"it\.json: frame_skip: .*{env}"):
                    restore(found, "cython", env=env)
        assert restore(found, "cython", env=ENV)[0].env == ENV


# --- summaries ----------------------------------------------------------------------------------


def test_a_summary_by_hand() -> None:
    assert summarize([-21.0, 1.0, 5.0, 0.0], [100, 200, 300, 400]) == Summary(
        episodes=4,
        mean=-3.75,
        deviation=pytest.approx(((17.25**2 + 4.75**2 + 8.75**2 + 3.75**2) / 3) ** 0.5),
        lowest=-21.0,
        highest=5.0,
        wins=2,
        mean_length=250.0,
    )
    assert summarize([-3.0], [7]).deviation is None


def test_a_summary_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one, got 0 and 0"):
        summarize([], [])
    with pytest.raises(ValueError, match="got 1 and 2"):
        summarize([1.0], [1, 2])
