"""Games that are shown: the very episodes of evaluation, with every frame and its odds."""

from __future__ import annotations

from itertools import islice
from typing import Any

import numpy as np
import pytest
from training_cases import stages_of

from fastpong import kernels
from fastpong.agents.protocol import Chance
from fastpong.envs.draws import EVAL
from fastpong.envs.emulator import Emulator
from fastpong.training.evaluation import Player
from fastpong.viewing.games import Odds, Watcher

BACKEND = kernels.get_backend().name
CASES = {
    "karpathy": ("Pong-v0", {"hidden": 4}),
    "keras": ("PongDeterministic-v4", {}),
    "ppo": ("ALE/Pong-v5", {"hidden": 4, "noop_max": 30}),
    "dqn": ("PongNoFrameskip-v4", {"hidden": 4}),
}


def player(agent: str, greedy: bool = False, emulator: str = "auto") -> Player:
    env, settings = CASES[agent]
    return Player(
        env,
        tuple(stages_of(agent, env=env, **settings)),
        0,
        BACKEND,
        "float32",
        3,
        greedy,
        emulator,
    )


def watcher(shown: Player) -> tuple[Watcher, Any]:
    (stage,) = shown.plan().stages
    chance = Chance(shown.seed, EVAL, shown.greedy)
    return Watcher(stage, stage.spec.initial_parameters(1), chance), stage.spec.actor(stage, chance)


@pytest.mark.parametrize("greedy", [False, True], ids=["sampled", "greedy"])
@pytest.mark.parametrize("agent", CASES)
def test_a_game_is_that_of_evaluation(agent: str, greedy: bool) -> None:
    shown, actor = watcher(player(agent, greedy))
    evaluated = actor.play(5, shown.parameters)
    *_, last = moments = list(shown.game(5))
    left, right = last.score
    assert right - left == evaluated.score
    assert max(left, right) == 21
    assert last.step == evaluated.length
    assert len(moments) == last.frame == evaluated.frames
    assert [moment.frame for moment in moments] == list(range(1, len(moments) + 1))
    # The emulator is given back: the next game is evaluation's, too, played without a watcher.
    assert shown.actor.play(5, shown.parameters).score == evaluated.score


def test_every_screen_is_the_emulators_after_that_frame() -> None:
    shown, _ = watcher(player("karpathy"))
    moments = list(islice(shown.game(0), 400))
    actions: list[int] = []
    again, _ = watcher(player("karpathy"))
    machine = again.actor.emulator.machine

    class Recorder:
        def __getattr__(self, name: str) -> Any:
            return getattr(machine, name)

        def play(self, played: bytes) -> int:
            actions.extend(played)
            return machine.play(played)

    again.actor.emulator._use(Recorder())  # type: ignore[arg-type]
    again.actor.emulator._machines["console"] = Recorder()  # type: ignore[assignment]
    list(islice(again.game(0), 400))
    replay = Emulator(player("karpathy").plan().stages[0].variant, "ale").machine
    replay.reset_game()
    screen = np.empty(replay.screen_shape, np.uint8)
    for moment, action in zip(moments, actions, strict=False):
        replay.play(bytes([action]))
        replay.read_screen(screen)
        assert np.array_equal(moment.screen, screen)


def test_ale_shows_the_same_game() -> None:
    pytest.importorskip("ale_py")
    one, _ = watcher(player("karpathy", emulator="console"))
    other, _ = watcher(player("karpathy", emulator="ale"))
    for a, b in zip(islice(one.game(0), 600), islice(other.game(0), 600), strict=True):
        assert a.score == b.score
        assert np.array_equal(a.screen, b.screen)


def test_odds_are_the_policys_and_the_picture_is_what_changed() -> None:
    shown, _ = watcher(player("karpathy"))
    table, w = shown.actor.table, shown.parameters
    machine = shown.actor.emulator.machine
    machine.reset_game()
    start = np.empty((210, 160), np.uint8)
    machine.read_screen(start)
    before = table[start[35:195:2, ::2]].astype(np.int8)
    last, seen = 0, None
    for moment in islice(shown.game(0), 500):
        assert moment.thought is not None
        if moment.step > last and seen is not None:
            field = table[seen[35:195:2, ::2]].astype(np.int8)
            difference = field - before
            assert np.array_equal(moment.thought.difference, difference)
            hidden = np.maximum(difference.ravel() @ w["w1"], 0)
            right = 1 / (1 + np.exp(-(hidden @ w["w2"])))
            odds = shown.odds(moment.thought)
            assert odds.up == pytest.approx(right, abs=1e-5)
            assert odds.down == pytest.approx(1 - right, abs=1e-5)
            before = field
        elif moment.step == 1 and last == 0:
            assert not moment.thought.difference.any()
        last, seen = moment.step, moment.screen


def test_odds_of_an_agent_that_can_stay() -> None:
    shown, _ = watcher(player("keras"))
    thought = next(shown.game(0)).thought
    assert thought is not None
    assert shown.actor.moves == (0, 1, 3, 4, 11, 12)
    p = thought.probabilities
    assert p.sum() == pytest.approx(1)
    odds = shown.odds(thought)
    assert odds == Odds(pytest.approx(p[2] + p[4]), pytest.approx(p[3] + p[5]))
    assert odds.stay == pytest.approx(p[0] + p[1])


def test_odds_of_an_epsilon_greedy_agent_are_its_shares() -> None:
    shown, _ = watcher(player("dqn"))
    epsilon = shown.actor.settings.eval_eps
    found = {
        round(shown.odds(moment.thought).up, 9)
        for moment in islice(shown.game(0), 500)
        if moment.thought
    }
    assert found <= {round(epsilon / 2, 9), round(1 - epsilon / 2, 9)}


def test_new_weights_count_from_the_next_step_on() -> None:
    shown, _ = watcher(player("ppo"))
    odds = []
    for moment in islice(shown.game(0), 400):
        assert moment.thought is not None
        odds.append(shown.odds(moment.thought).up)
        if moment.frame == 200:
            step = moment.step
            shown.parameters["units"][...] = 0  # type: ignore[index]
    moments = list(islice(watcher(player("ppo"))[0].game(0), 200))
    assert moments[-1].step == step
    assert len(set(odds[:200])) > 10
    assert set(odds[204:]) == {0.5}
