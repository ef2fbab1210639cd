"""The trainer over real workers and the real emulator: exact, and independent of how it is run."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from training_cases import SEED, Stages, Trained, same_arrays, stages_of, train_once
from training_cases import train as train_stages
from waiting import until

from fastpong.agents import make_plan
from fastpong.agents.protocol import Chance
from fastpong.envs.draws import TRAIN
from fastpong.runtime.cputime import cpu_seconds
from fastpong.training.goal import Goal
from fastpong.training.state import TrainerState, initial_counters

ENV = "Pong-v0"


def small(**changes: Any) -> Stages:
    return stages_of("karpathy", env=ENV, **{"hidden": 20, "batch_size": 3, **changes})


def train(stages: Stages, episodes: int, *, goal: Goal | None = None, **how: Any) -> Trained:
    return train_stages(ENV, stages, goal=goal or Goal(episodes), **how)


def in_process(stages: Stages, backend: str, dtype: str) -> tuple[Any, Any]:
    """Return an actor and a learner of one process."""
    stage = make_plan(ENV, stages, backend, dtype).stages[0]
    parameters = stage.spec.initial_parameters(SEED)
    actor: Any = stage.spec.actor(stage, Chance(SEED, TRAIN))
    return actor, stage.spec.learner(stage, parameters, 1)


def train_plainly(batch_size: int, lag: int, stages: Stages, episodes: int) -> Any:
    """Train in one process, as the schedule is written in words."""
    actor, learner = in_process(stages, "cython", "float32")
    versions = [{name: array.copy() for name, array in learner.parameters.items()}]
    for number in range(episodes):
        behaviour = versions[max(0, number // batch_size - lag)]
        learner.add(actor.play(number, behaviour), behaviour)
        if (number + 1) % batch_size == 0:
            learner.update()
            versions.append({name: array.copy() for name, array in learner.parameters.items()})
    return learner


@pytest.mark.parametrize("lag", [0, 1, 2])
def test_follows_the_schedule_bit_for_bit(lag: int) -> None:
    stages = small(lag=lag, batch_size=2, learning_rate=1e-2)
    found = train(stages, 9)
    learner = train_plainly(2, lag, stages, 9)
    for name, array in learner.parameters.items():
        assert np.array_equal(found.arrays[f"parameters/0/{name}"], array)
    for name, array in learner.state().items():
        assert np.array_equal(found.arrays[f"state/{name}"], array)
    assert [task.number for task in found.tasks] == list(range(9))
    assert [task.version for task in found.tasks] == [max(0, n // 2 - lag) for n in range(9)]
    assert all(task.payload is None for task in found.tasks)
    assert [item.update for item in found.stats] == [0, 1, 1, 2, 2, 3, 3, 4, 4]
    # The odd last episode is summed and waits for its batch.
    assert np.any(learner.state()["gradient/w1"])


def test_counts_what_was_played() -> None:
    found = train(small(), 4)
    actor, learner = in_process(small(), "cython", "float32")
    episodes = [actor.play(n, learner.parameters) for n in range(4)]  # lag 1: all by version 0
    stats = found.stats
    assert [item.score for item in stats] == [episode.score for episode in episodes]
    assert [item.length for item in stats] == [episode.length for episode in episodes]
    assert [item.frames for item in stats] == [episode.frames for episode in episodes]
    assert stats[-1].total_steps == sum(episode.length for episode in episodes)
    assert stats[-1].total_frames == sum(episode.frames for episode in episodes)
    mean = episodes[0].score
    assert stats[0].running_mean == mean
    for item, episode in zip(stats[1:], episodes[1:], strict=True):
        mean = 0.99 * mean + 0.01 * episode.score
        assert item.running_mean == pytest.approx(mean, rel=1e-15)
    assert found.counters["episode"] == stats[-1].episode == 4
    assert 0 < stats[0].wall_seconds <= stats[-1].wall_seconds


def test_workers_play_on_while_the_learner_learns() -> None:
    """A lag of one: the whole next batch is played within an update."""
    played_within: list[int] = []

    def watched(pool: Any, trainer: Any) -> bool:
        if trainer.counters["update"] or hasattr(trainer.learner, "watched"):
            return False
        update, trainer.learner.watched = trainer.learner.update, True

        def slow() -> Any:
            trainer.learner.update = update  # during the last one nobody plays
            # Some may have been collected before, on a busy machine.
            until(lambda: len(pool._done) + len(trainer._played) == 3)
            played_within.append(len(pool._done) + len(trainer._played))
            return update()

        trainer.learner.update = slow
        return False

    train(small(lag=1), 6, workers=1, hook=watched)
    assert played_within[0] == 3


def test_an_update_that_fails_ends_the_run_of_a_lagging_trainer() -> None:
    def broken(pool: Any, trainer: Any) -> bool:
        trainer.learner.update = lambda: 1 / 0
        return False

    with pytest.raises(ZeroDivisionError):
        train(small(lag=1), 6, hook=broken)


def test_weights_do_not_depend_on_the_workers_or_how_they_start() -> None:
    runs = [
        train(small(lag=1), 7, workers=workers, start_method=start_method)
        for workers, start_method in ((1, "fork"), (2, "forkserver"), (3, "spawn"))
    ]
    assert same_arrays(runs[0].arrays, runs[1].arrays)
    assert same_arrays(runs[0].arrays, runs[2].arrays)


@pytest.mark.parametrize(("lag", "stop_after"), [(0, 4), (1, 2), (1, 5), (2, 7)])
def test_an_interrupted_run_goes_on_bit_for_bit(lag: int, stop_after: int) -> None:
    stages = small(lag=lag, learning_rate=1e-2, batch_size=2)
    whole = train_once(ENV, stages, goal=Goal(9))
    half = train(stages, 9, stop_after=stop_after)
    assert len(half.stats) == stop_after == half.counters["episode"]
    rest = train(stages, 9, state=half.snapshot)
    assert rest.tasks[0].number == stop_after
    assert same_arrays(rest.arrays, whole.arrays)
    for part, item in zip(half.stats + rest.stats, whole.stats, strict=True):
        for field in ("episode", "score", "frames", "running_mean", "update", "total_frames"):
            assert getattr(part, field) == getattr(item, field)
    assert rest.stats[0].wall_seconds >= half.stats[-1].wall_seconds


def test_a_state_that_is_gone_on_from_is_left_as_it_was() -> None:
    half = train(small(learning_rate=1e-2), 3).snapshot
    before = {name: array.copy() for name, array in half.arrays.items()}
    train(small(learning_rate=1e-2), 6, state=half)
    assert same_arrays(half.arrays, before) and half.counters["episode"] == 3


def test_a_run_begun_from_a_written_initial_state_is_the_same() -> None:
    plan = make_plan(ENV, small(), "cython", "float32")
    parameters = plan.stages[0].spec.initial_parameters(SEED)
    begun = train(small(), 4, state=TrainerState.initial(plan, parameters))
    assert same_arrays(begun.arrays, train(small(), 4).arrays)


def test_a_new_run_makes_one_learner(monkeypatch: pytest.MonkeyPatch) -> None:
    """A learner's state may be hundreds of megabytes."""
    from fastpong.agents.karpathy.agent import Karpathy

    made: list[int] = []
    make = Karpathy.learner

    def counted(self: Any, *arguments: Any) -> Any:
        made.append(1)
        return make(self, *arguments)

    monkeypatch.setattr(Karpathy, "learner", counted)
    train(small(), 1)
    assert len(made) == 1


# --- goals --------------------------------------------------------------------------------------


def counters(**changes: Any) -> dict[str, Any]:
    return {**initial_counters(), **changes}


def test_a_mean_return_needs_a_full_window_of_episodes() -> None:
    recent = counters(recent=[-21.0, 3.0, 5.0])
    assert Goal(99, until=4.0, until_episodes=2).reached(recent)
    assert not Goal(99, until=4.1, until_episodes=2).reached(recent)
    assert not Goal(99, until=-21.0, until_episodes=4).reached(recent)
    assert not Goal(99, until=-21.0, until_episodes=1).reached({})
    assert not Goal(99, until_episodes=1).reached(recent)  # until: None


def test_the_end_is_a_number_of_episodes_or_of_steps_or_the_return() -> None:
    assert Goal(3).over(counters(episode=3)) and not Goal(3).over(counters(episode=2))
    assert not Goal(10**9).over(counters(episode=10**6, total_steps=10**12, recent=[21.0] * 100))
    steps = Goal(9, total_timesteps=100)
    assert steps.over(counters(total_steps=100)) and steps.over(counters(total_steps=101))
    assert not steps.over(counters(total_steps=99)) and steps.over(counters(episode=9))
    won = Goal(9, until=20.0, until_episodes=1)
    assert won.over(counters(recent=[20.0])) and not won.over(counters(recent=[19.0]))


def test_training_ends_at_its_goal_and_does_not_begin_beyond_it() -> None:
    stages = small(batch_size=2)
    whole = train(stages, 7)
    scores = [item.score for item in whole.stats]
    until = max(sum(scores[n : n + 3]) / 3 for n in range(4))
    goal = Goal(7, until=until, until_episodes=3)
    first = next(n for n in range(3, 8) if sum(scores[n - 3 : n]) / 3 >= until)
    early = train(stages, 7, goal=goal)
    assert len(early.stats) == first == early.counters["episode"]
    assert early.counters["recent"] == scores[:first]
    assert train(stages, 7, goal=goal, state=early.snapshot).stats == []
    rest = train(stages, 7, state=early.snapshot)
    assert len(rest.stats) == 7 - first
    assert rest.counters["recent"] == whole.counters["recent"]


def test_training_ends_with_the_episode_that_reaches_the_steps() -> None:
    whole = train(small(), 5)
    for limit, episodes in ((whole.stats[1].total_steps, 2), (whole.stats[1].total_steps + 1, 3)):
        found = train(small(), 5, goal=Goal(5, total_timesteps=limit))
        assert len(found.stats) == found.counters["episode"] == episodes


def test_training_ends_with_the_update_that_reaches_the_steps() -> None:
    settings = {"n_envs": 2, "n_steps": 16, "hidden": 16}
    stages = stages_of("ppo", env="PongDeterministic-v4", **settings)
    for limit, updates in ((64, 2), (65, 3)):
        goal = Goal(10**6, total_timesteps=limit)
        found = train_stages("PongDeterministic-v4", stages, goal=goal)
        assert (found.counters["update"], found.counters["total_steps"]) == (updates, 32 * updates)


# --- what else it counts, and what it refuses ----------------------------------------------------


def test_cpu_time_is_that_of_all_processes() -> None:
    before = cpu_seconds()
    found = train(small(), 40)  # some readings: one stands for a while
    used = [item.cpu_seconds for item in found.stats]
    assert before < used[0] and used == sorted(used)
    # All takes 6 us a frame, 0.3 without the workers.
    assert used[-1] - before > found.stats[-1].total_frames * 3e-6
    rest = train(small(), 41, state=found.snapshot)
    assert rest.counters["cpu_seconds"] > found.counters["cpu_seconds"] == used[-1]


def test_refuses_a_state_that_does_not_fit() -> None:
    half = train(small(lag=1), 4).snapshot
    with pytest.raises(ValueError, match=r"does not fit the agent: .*expected"):
        train(small(lag=1, hidden=21), 5, state=half)
    with pytest.raises(ValueError, match=r"parameters/1/w1 is there, expected no such array"):
        train(small(lag=0), 5, state=half)
    for lost in ("state/cache/w1", "parameters/1/w2"):
        arrays = {name: array for name, array in half.arrays.items() if name != lost}
        with pytest.raises(ValueError, match=rf"{lost} is missing, expected \("):
            train(small(lag=1), 5, state=TrainerState(half.counters, arrays))
    more = TrainerState(half.counters, half.arrays | {"state/more": np.zeros(1)})
    with pytest.raises(ValueError, match=r"state/more is there, expected no such array"):
        train(small(lag=1), 5, state=more)


def test_refuses_a_state_of_another_stage() -> None:
    """A checkpoint of values, told that it stands where a policy is learned."""
    seen = {"n_envs": 2, "n_steps": 16, "hidden": 16, "batch_size": 8, "cell_size": 8}
    stages = stages_of(
        "dqn", env="ALE/Pong-v5", **seen, coarse_cells="", buffer_size=200, n_step=3,
        learning_starts=0, stages=[{"from_step": 96, "agent": "ppo"}],
    )  # fmt: skip
    half = train_stages("ALE/Pong-v5", stages, updates=1).snapshot
    state = TrainerState({**half.counters, "task": 6, "update": 3}, half.arrays)
    with pytest.raises(ValueError, match=r"state/replay/actions is there, expected no such array"):
        train_stages("ALE/Pong-v5", stages, updates=4, state=state)
