"""The trainer over real workers and the real emulator: exact, and independent of how it is run."""

import dataclasses

import numpy as np
import pytest
from tolerances import TRAINING

from fastpong.agents import create, make_player
from fastpong.agents.karpathy import Settings
from fastpong.envs.draws import TRAIN
from fastpong.runtime.cputime import cpu_seconds
from fastpong.runtime.pool import Pool
from fastpong.runtime.sharedmem import SharedArrays
from fastpong.training.trainer import Goal, Trainer, TrainerState

ENV = "Pong-v0"
SEED = 5


def hyper(**changes):
    return dataclasses.replace(Settings(hidden=20, batch_size=3), **changes)


def train(
    settings,
    episodes,
    *,
    backend="cython",
    dtype="float64",
    workers=2,
    start_method=None,
    state=None,
    stop_after=None,
    goal=None,
):
    """Train for real; return (trainer's last snapshot, the stats, the tasks submitted)."""
    agent = create("pg", settings, backend, dtype)
    weights = SharedArrays(agent.shapes, dtype, settings.lag + 1)
    arguments = ("pg", settings, backend, dtype, ENV, SEED, TRAIN, False)
    tasks, stats = [], []
    with Pool(make_player, arguments, weights, workers=workers, start_method=start_method) as pool:
        submit = pool.submit
        pool.submit = lambda task: (tasks.append(task), submit(task))
        trainer = Trainer(
            agent, pool, weights, seed=SEED, episodes=episodes, goal=goal, state=state
        )
        for item in trainer.run(lambda: stop_after is not None and len(stats) >= stop_after):
            stats.append(item)
        return trainer.snapshot(), stats, tasks


def train_plainly(settings, episodes, dtype):
    """Train in one process, as the schedule is written in words."""
    agent = create("pg", settings, "cython", dtype)
    play = agent.player(ENV, SEED, TRAIN, False)
    versions, state = [agent.initial_parameters(SEED)], agent.initial_state()
    for number in range(episodes):
        update = number // settings.batch_size
        behaviour = versions[max(0, update - settings.lag)]
        agent.add(play(number, behaviour), behaviour, state)
        if (number + 1) % settings.batch_size == 0:
            newest = {name: array.copy() for name, array in versions[-1].items()}
            agent.update(newest, state)
            versions.append(newest)
    return versions[-1], state


def same_arrays(first, second):
    assert first.keys() == second.keys()
    return all(np.array_equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("lag", [0, 1, 2])
def test_follows_the_schedule_bit_for_bit(lag):
    settings = hyper(lag=lag, batch_size=2, learning_rate=1e-2)
    snapshot, stats, tasks = train(settings, 9, dtype="float32")
    parameters, state = train_plainly(settings, 9, "float32")
    for name, array in parameters.items():
        assert np.array_equal(snapshot.arrays[f"parameters/0/{name}"], array)
    for name, array in state.items():
        assert np.array_equal(snapshot.arrays[f"state/{name}"], array)
    assert [task.number for task in tasks] == list(range(9))
    assert [task.version for task in tasks] == [max(0, n // 2 - lag) for n in range(9)]
    assert [item.update for item in stats] == [0, 1, 1, 2, 2, 3, 3, 4, 4]
    # The odd last episode is summed and waits for its batch.
    assert np.any(state["gradient/w1"])


def test_counts_what_was_played():
    snapshot, stats, _ = train(hyper(), 4, dtype="float32")
    play = create("pg", hyper(), "cython", "float32").player(ENV, SEED, TRAIN, False)
    first = create("pg", hyper(), "cython", "float32").initial_parameters(SEED)
    episodes = [play(number, first) for number in range(4)]  # lag 1: all by version 0
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
    assert snapshot.counters["episode"] == stats[-1].episode == 4
    assert 0 < stats[0].wall_seconds <= stats[-1].wall_seconds


@pytest.mark.parametrize("lag", [0, 1])
@pytest.mark.timeout(240)
def test_compiled_backends_agree_with_the_oracle(lag):
    settings = hyper(hidden=200, lag=lag)
    exact, exact_stats, _ = train(settings, 12, backend="numpy")
    for backend in ("cython", "numba"):
        snapshot, stats, _ = train(settings, 12, backend=backend)
        assert [s.score for s in stats] == [s.score for s in exact_stats]
        assert [(s.length, s.frames) for s in stats] == [(s.length, s.frames) for s in exact_stats]
        for name, array in exact.arrays.items():
            if name.startswith("parameters/"):
                np.testing.assert_allclose(snapshot.arrays[name], array, rtol=TRAINING)


def test_actions_agree_with_the_oracle():
    settings = hyper(hidden=200)
    parameters = create("pg", settings, "numpy", "float64").initial_parameters(SEED)
    plays = {
        backend: create("pg", settings, backend, "float64").player(ENV, SEED, TRAIN, False)
        for backend in ("numpy", "cython", "numba")
    }
    exact = plays["numpy"](0, parameters)
    exact.check()
    for backend in ("cython", "numba"):
        episode = plays[backend](0, parameters)
        for name in ("actions", "rewards", "indptr", "indices", "signs"):
            assert np.array_equal(getattr(episode, name), getattr(exact, name)), name


def test_weights_do_not_depend_on_the_workers_or_how_they_start():
    runs = [
        train(hyper(lag=1), 7, dtype="float32", workers=workers, start_method=start_method)[0]
        for workers, start_method in ((1, "fork"), (2, "forkserver"), (3, "spawn"))
    ]
    assert same_arrays(runs[0].arrays, runs[1].arrays)
    assert same_arrays(runs[0].arrays, runs[2].arrays)


@pytest.mark.parametrize(("lag", "stop_after"), [(0, 4), (1, 2), (1, 5), (2, 7)])
def test_an_interrupted_run_goes_on_bit_for_bit(lag, stop_after):
    settings = hyper(lag=lag, learning_rate=1e-2, batch_size=2)
    whole, whole_stats, _ = train(settings, 9, dtype="float32")
    half, first, _ = train(settings, 9, dtype="float32", stop_after=stop_after)
    assert len(first) == stop_after == half.counters["episode"]
    rest, second, tasks = train(settings, 9, dtype="float32", state=half)
    assert tasks[0].number == stop_after
    assert same_arrays(rest.arrays, whole.arrays)
    for part, item in zip(first + second, whole_stats, strict=True):
        for field in ("episode", "score", "frames", "running_mean", "update", "total_frames"):
            assert getattr(part, field) == getattr(item, field)
    assert second[0].wall_seconds >= first[-1].wall_seconds


def test_a_goal_needs_a_full_window_of_games():
    counters = {"recent": [-21.0, 3.0, 5.0]}
    assert Goal(4.0, 2).reached(counters) and not Goal(4.1, 2).reached(counters)
    assert not Goal(-21.0, 4).reached(counters) and not Goal(-21.0, 1).reached({})


def test_training_ends_at_its_goal_and_does_not_begin_beyond_it():
    settings = hyper(batch_size=2)
    whole, stats, _ = train(settings, 7, dtype="float32")
    scores = [item.score for item in stats]
    goal = Goal(max(sum(scores[n : n + 3]) / 3 for n in range(4)), 3)
    first = next(n for n in range(3, 8) if sum(scores[n - 3 : n]) / 3 >= goal.score)
    early, found, _ = train(settings, 7, dtype="float32", goal=goal)
    assert len(found) == first == early.counters["episode"]
    assert early.counters["recent"] == scores[:first]
    assert train(settings, 7, dtype="float32", goal=goal, state=early)[1] == []
    rest, found, _ = train(settings, 7, dtype="float32", state=early)
    assert len(found) == 7 - first
    assert rest.counters["recent"] == whole.counters["recent"]


def test_cpu_time_is_that_of_all_processes():
    before = cpu_seconds()
    snapshot, stats, _ = train(hyper(), 4, dtype="float32")
    used = [item.cpu_seconds for item in stats]
    assert before < used[0] and used == sorted(used)
    # The emulator alone takes 50 us a frame, in the workers.
    assert used[-1] - before > stats[-1].total_frames * 10e-6
    rest, _, _ = train(hyper(), 5, dtype="float32", state=snapshot)
    assert rest.counters["cpu_seconds"] > snapshot.counters["cpu_seconds"] == used[-1]


def test_goes_on_from_a_state_of_an_earlier_version():
    whole, _, _ = train(hyper(), 5, dtype="float32")
    half, _, _ = train(hyper(), 5, dtype="float32", stop_after=2)
    new = ("task", "recent", "cpu_seconds")
    former = {name: value for name, value in half.counters.items() if name not in new}
    rest, _, _ = train(hyper(), 5, dtype="float32", state=TrainerState(former, half.arrays))
    assert same_arrays(rest.arrays, whole.arrays)


def test_refuses_a_state_of_another_shape():
    half, _, _ = train(hyper(), 1)
    with pytest.raises(ValueError, match=r"does not fit the agent: .*expected"):
        train(hyper(hidden=21), 2, state=half)
    lost = {name: array for name, array in half.arrays.items() if "cache" not in name}
    with pytest.raises(ValueError, match=r"state/cache/w.*missing"):
        train(hyper(), 2, state=TrainerState(half.counters, lost))
