"""Evaluation: the same games for any number of workers, other games than training's."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastpong import agents, kernels
from fastpong.envs.draws import EVAL, TRAIN
from fastpong.settings.config import Config
from fastpong.storage import checkpoint
from fastpong.storage.checkpoint import CheckpointError
from fastpong.training.evaluation import Game, Player, Summary, evaluate, restore, summarize

HYPER = agents.AGENTS["pg"].Hyperparameters(hidden=4)
BACKEND = kernels.get_backend().name
PLAYER = Player("pg", HYPER, BACKEND, "float64", "PongDeterministic-v4", seed=3)


def parameters(seed: int = 0) -> dict[str, Any]:
    return agents.create("pg", HYPER, BACKEND, "float64").initial_parameters(seed)


def play(player: Player, episodes: int, workers: int) -> list[Game]:
    return list(evaluate(player, parameters(), episodes=episodes, workers=workers))


def test_games_are_the_evaluation_streams_for_any_number_of_workers() -> None:
    games = play(PLAYER, episodes=2, workers=1)
    assert [game.number for game in games] == [0, 1]
    assert games == play(PLAYER, episodes=2, workers=2)

    def here(stream: int) -> list[tuple[float, int, int]]:
        agent = agents.create("pg", HYPER, BACKEND, "float64")
        one = agent.player(PLAYER.env, PLAYER.seed, stream, greedy=False)
        results = [one(number, parameters()) for number in range(2)]
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
        settings = Config(
            agent="pg", hyper=dataclasses.replace(HYPER, hidden=hidden), dtype="float64"
        )
        checkpoint.save(tmp_path, episode, weights, {"config": settings.flat()})
    player, found = restore(checkpoint.load(tmp_path / "00000001.json"), BACKEND)
    assert player.hyper == HYPER and found.keys() == parameters().keys()
    with pytest.raises(CheckpointError, match=r"another kind \(w1: expected .*5.*, got .*4"):
        restore(checkpoint.load(tmp_path / "00000002.json"), BACKEND)


def test_a_summary_by_hand() -> None:
    assert summarize([-21.0, 1.0, 5.0, 0.0], [100, 200, 300, 400]) == Summary(
        episodes=4,
        mean=-3.75,
        deviation=pytest.approx(((17.25**2 + 4.75**2 + 8.75**2 + 3.75**2) / 4) ** 0.5),
        lowest=-21.0,
        highest=5.0,
        wins=2,
        mean_length=250.0,
    )
    assert summarize([-3.0], [7]).deviation == 0.0


def test_a_summary_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one, got 0 and 0"):
        summarize([], [])
    with pytest.raises(ValueError, match="got 1 and 2"):
        summarize([1.0], [1, 2])
