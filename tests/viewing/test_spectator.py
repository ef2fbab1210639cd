"""The spectator: games of the newest weights, in its own time, that nobody waits for."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from training_cases import stages_of
from waiting import PATIENCE

from fastpong import kernels
from fastpong.agents import make_plan
from fastpong.agents.plan import Plan
from fastpong.viewing import spectator as module
from fastpong.viewing.games import Moment, Odds
from fastpong.viewing.spectator import Budget, Spectator

ENV = "PongDeterministic-v4"
STAGES = stages_of(
    "ppo", env=ENV, hidden=4, n_envs=2, n_steps=64, batch_size=64, noop_max=0,
    stages=[{"from_step": 256, "frame_skip": 2}],
)  # fmt: skip


def plan() -> Plan:
    return make_plan(ENV, STAGES, kernels.get_backend().name, "float32")


def parameters(seed: int) -> dict[str, Any]:
    return plan().stages[0].spec.initial_parameters(seed)


class Seen(list[tuple[Moment, Odds | None, int]]):
    def __call__(self, moment: Moment, odds: Odds | None, game: int) -> None:
        self.append((moment, odds, game))


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Play without pauses."""
    monkeypatch.setattr(module.time, "sleep", lambda seconds: None)


def until(condition: Callable[[], bool], offer: Callable[[], None] = lambda: None) -> None:
    """Offer weights without a pause, as a training does."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        offer()
        time.sleep(0)


@pytest.mark.usefixtures("fast")
def test_nothing_is_played_before_there_are_weights_and_nothing_is_shown_after_the_end() -> None:
    seen = Seen()
    spectator = Spectator(plan, 0, 100, seen)
    assert not seen
    spectator.offer(0, parameters(0))
    until(lambda: len(seen) > 20)
    spectator.close()
    count = len(seen)
    assert spectator.failure is None
    time.sleep(0.05)
    assert len(seen) == count
    frames = [moment.frame for moment, _, _ in seen]
    assert frames == sorted(frames)


@pytest.mark.usefixtures("fast")
def test_weights_are_copied_and_the_newest_play_within_a_second() -> None:
    seen = Seen()
    spectator = Spectator(plan, 0, 100, seen)
    given = parameters(0)
    spectator.offer(0, given)
    given["units"][...] = np.nan  # training goes on
    until(lambda: len(seen) > 40)
    assert all(odds is not None and 0 < odds.up < 1 and odds.up != 0.5 for _, odds, _ in seen)
    even = {name: np.zeros_like(array) for name, array in given.items()}
    until(lambda: seen[-1][1] == Odds(0.5, 0.5), lambda: spectator.offer(0, even))
    spectator.close()
    assert spectator.failure is None


@pytest.mark.usefixtures("fast")
def test_a_copy_is_only_made_when_it_is_wanted() -> None:
    class Counted(dict[str, Any]):
        copies = 0

        def items(self) -> Any:
            self.copies += 1
            return super().items()

    seen, given = Seen(), Counted(parameters(0))
    spectator = Spectator(plan, 0, 100, seen)
    until(lambda: len(seen) > 200, lambda: spectator.offer(0, given))
    spectator.close()
    last = max(moment.frame for moment, _, _ in seen)
    assert 2 <= given.copies <= 2 + last // 60


@pytest.mark.usefixtures("fast")
def test_a_new_stage_begins_a_game_by_its_rules() -> None:
    seen = Seen()
    spectator = Spectator(plan, 0, 100, seen)
    stage = [0]

    def offer() -> None:
        spectator.offer(stage[0], parameters(0))

    until(lambda: len(seen) > 40, offer)
    stage[0], before = 1, len(seen)
    until(lambda: any(m.frame < seen[before - 1][0].frame for m, _, _ in seen[before:]), offer)
    until(lambda: len(seen) > before + 80, offer)
    spectator.close()
    assert spectator.failure is None
    moment = seen[before - 1][0]
    assert moment.step == -(-moment.frame // 4)
    moment = seen[-1][0]
    assert moment.step == -(-moment.frame // 2)


@pytest.mark.usefixtures("fast")
def test_a_failing_picture_ends_the_spectator_alone() -> None:
    def fail(moment: Moment, odds: Odds | None, game: int) -> None:
        raise RuntimeError("no paint")

    spectator = Spectator(plan, 0, 100, fail)
    spectator.offer(0, parameters(0))
    until(lambda: spectator.failure is not None)
    assert str(spectator.failure) == "no paint"
    spectator.offer(0, parameters(1))
    spectator.close()


@pytest.mark.parametrize(
    ("cpu_a_draw", "frames_per_draw"), [(0.0001, 2), (0.0005, 2), (0.001, 4), (0.002, 8), (1, 12)]
)
def test_the_budget_is_kept_by_drawing_less(cpu_a_draw: float, frames_per_draw: int) -> None:
    used = now = 0.0
    budget = Budget(0.016, cpu=lambda: used, clock=lambda: now)
    for _ in range(10):
        budget.check()
        now += 1
        used += 60 / budget.frames_per_draw * cpu_a_draw
    assert budget.frames_per_draw == frames_per_draw
    if frames_per_draw < 12:
        assert 60 / budget.frames_per_draw * cpu_a_draw <= 0.016
