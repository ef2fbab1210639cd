"""PPO over real workers and the real emulator: exact, however it is run."""

from __future__ import annotations

import os
import signal
import threading
import time
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tolerances import assert_close
from training_cases import (
    SEED,
    Stages,
    Trained,
    after,
    course,
    same_arrays,
    stages_of,
    train_once,
)
from training_cases import train as train_stages
from waiting import PATIENCE

from fastpong.acting.rollout import EnvState, Game
from fastpong.agents import make_plan
from fastpong.agents.ppo.settings import PPOSettings
from fastpong.agents.ppo.updater import Batch, Updater
from fastpong.agents.protocol import Chance
from fastpong.envs.draws import EVAL, TRAIN
from fastpong.kernels import get_backend
from fastpong.settings.config import Config
from fastpong.storage.checkpoint import newest
from fastpong.storage.run import Run
from fastpong.training.evaluation import Player, evaluate
from fastpong.training.session import Session
from fastpong.training.state import TrainerState

ENV = "PongDeterministic-v4"

SMALL: dict[str, Any] = {
    **{"hidden": 20, "n_envs": 3, "n_steps": 40, "batch_size": 50, "n_epochs": 2},
    **{"cell_size": 4, "coarse_cells": "8x8:0.35", "learning_rate": "linear:1e-2:1e-3:500"},
    "ent_coef": "linear:0.005:0.0005:500",
}


def small(env: str = ENV, **changes: Any) -> Stages:
    return stages_of("ppo", env=env, **{**SMALL, **changes})


def settings_of(stages: Stages) -> PPOSettings:
    found = stages[0].settings
    assert isinstance(found, PPOSettings)
    return found


def train(stages: Stages, updates: int, *, env: str = ENV, **how: Any) -> Trained:
    return train_stages(env, stages, updates=updates, **how)


# --- training -----------------------------------------------------------------------------------


def test_evaluation_plays_with_the_average_of_the_updates() -> None:
    """Against the closed form: weights of w_t proportional to t (t + 1) ... (t + eta - 1)."""
    stages, updates = small(weight_averaging=2.0), 4
    stage = make_plan(ENV, stages, "cython", "float64").stages[0]
    parameters = stage.spec.initial_parameters(SEED)
    state = stage.spec.learner(stage, parameters, 1).state()
    assert stage.spec.evaluation_parameters(parameters, state) is parameters
    seen = []
    for made in islice(course(ENV, stages), updates):
        seen.append({name: array.copy() for name, array in made.parameters.items()})
    share = np.array([t * (t + 1) for t in range(1, updates + 1)], float)
    for name, average in made.evaluated().items():
        assert_close(average, np.tensordot(share / share.sum(), [w[name] for w in seen], 1))
        assert not np.allclose(average, made.parameters[name], rtol=1e-4, atol=1e-7)
    plain = after(2, ENV, small(weight_averaging=0.0)).state
    assert_close(plain["average/units"], (seen[0]["units"] + seen[1]["units"]) / 2)


@pytest.mark.parametrize("lag", [0, 1, 2])
def test_follows_the_schedule_bit_for_bit(lag: int) -> None:
    stages = small(lag=lag)
    found = train(stages, 4)
    for name, array in after(4, ENV, stages, dtype="float32").arrays().items():
        assert np.array_equal(found.arrays[name], array), name
    assert found.counters["update"] == 4 and found.counters["task"] == 12
    assert found.counters["total_steps"] == 4 * 3 * 40
    assert all(f"parameters/{k}/rows" in found.arrays for k in range(lag + 1))


@pytest.mark.parametrize("lag", [0, 1])
def test_weights_depend_on_neither_workers_nor_threads(lag: int) -> None:
    env = "ALE/Pong-v5"
    stages = small(env, lag=lag, hidden=50)
    one = train(stages, 3, workers=1, threads=1, env=env)
    for workers, threads in ((2, 3), (3, 2)):
        other = train(stages, 3, workers=workers, threads=threads, env=env)
        assert same_arrays(one.arrays, other.arrays)


@pytest.mark.parametrize(("lag", "until"), [(0, 1), (1, 1), (1, 3), (2, 2)])
def test_an_interrupted_run_goes_on_bit_for_bit(lag: int, until: int) -> None:
    env = "Pong-v0"
    stages = small(env, lag=lag, last_action=True)
    whole = train_once(env, stages, updates=5)
    half = train(stages, until, env=env)
    assert half.counters["update"] == until
    rest = train(stages, 5, env=env, state=half.snapshot)
    assert same_arrays(whole.arrays, rest.arrays)
    for name in ("task", "episode", "update", "total_steps", "total_frames", "running_mean"):
        assert whole.counters[name] == rest.counters[name]
    assert [s.score for s in half.stats + rest.stats] == [s.score for s in whole.stats]


TWO: dict[str, Any] = {
    "stages": [{"from_step": 200, "n_steps": 30, "gamma": 0.9, "frame_skip": 2,
                "ent_coef": "linear:0.01:0.001:300"}],
}  # fmt: skip
"""The second stage begins with update 2, after 240 steps."""


@pytest.mark.parametrize(("lag", "until"), [(0, 1), (0, 2), (0, 3), (1, 1), (1, 2), (1, 3)])
def test_a_run_of_two_stages_goes_on_bit_for_bit(lag: int, until: int) -> None:
    stages = small(**TWO, lag=lag)
    whole = train_once(ENV, stages, updates=4)
    assert same_arrays(whole.arrays, train(stages, 4, state=train(stages, until).snapshot).arrays)
    for name, array in after(4, ENV, stages, dtype="float32").arrays().items():
        assert np.array_equal(whole.arrays[name], array), name
    assert whole.counters["total_steps"] == 2 * 120 + 2 * 90


def test_a_second_stage_has_its_own_settings_and_goes_on_with_the_rest() -> None:
    rates, frames = [], []
    for made in islice(course(ENV, small(**TWO)), 4):
        rates.append(made.metrics["learning_rate"])
        frames.append(made.by.stage.variant.frameskip[0])
        assert made.by.settings.gamma == (0.98 if len(rates) < 3 else 0.9)
    assert frames == [4, 4, 2, 2]
    done = np.array([0, 120, 240, 330]) / 500  # the schedule is the first stage's
    np.testing.assert_allclose(rates, 1e-2 * (1 - 0.9 * done))
    assert made.state["steps"][0] == 2 * 2 * 2 + 2 * 2 * 2
    assert made.state["learning_since"][0] == 0 and made.state["updates"][0] == 4


def test_a_worker_that_dies_in_a_rollout_changes_nothing() -> None:
    want = train(small(), 3)
    killed: list[int] = []

    def hurt(pool: Any, trainer: Any) -> bool:
        ready = [worker.process.pid for worker in pool._jobs]
        if ready and len(killed) < 2 and trainer.counters["update"] == len(killed):
            killed.append(ready[0])
            os.kill(ready[0], signal.SIGKILL)
        return False

    got = train(small(), 3, hook=hurt)
    assert got.restarts == len(killed) == 2
    assert same_arrays(want.arrays, got.arrays)


def test_a_stop_in_the_middle_of_a_batch_stands_between_two_updates() -> None:
    stages, polls = small(n_envs=4, n_steps=30), []

    def stop(pool: Any, trainer: Any) -> bool:
        polls.append(len(trainer._played))
        return bool(trainer.counters["update"] == 1 and 0 < len(trainer._played) < 4)

    half = train(stages, 9, workers=1, hook=stop)
    assert half.counters["update"] == 1 and half.counters["task"] == 4 and polls[-1] > 0
    rest = train(stages, 3, state=half.snapshot)
    assert same_arrays(rest.arrays, train(stages, 3).arrays)


def test_the_oracle_learns_the_same_on_any_number_of_threads() -> None:
    one, other = (
        train(small(hidden=48), 1, backend="numpy", dtype="float64", threads=t) for t in (1, 3)
    )
    assert same_arrays(one.arrays, other.arrays)


def test_a_run_that_stops_between_episodes_keeps_its_updates(tmp_path: Path) -> None:
    """No episode ends within a few updates. Each of them is saved all the same."""
    settings = {"n_envs": 2, "n_steps": 16, "hidden": 16, "workers": 1, "env": ENV}
    config = Config.build({"agent": "ppo", **settings})

    def go_on(run: Run, steps: int) -> dict[str, Any]:
        goal = Config.build({"agent": "ppo", **settings, "total_timesteps": steps})
        with run, Session(goal) as session:
            outcome = session.train(run)
        found, refusals = newest(tmp_path / "run" / "checkpoints")
        assert (outcome.episode, outcome.saved, found.episode, refusals) == (0, 0, 0, [])
        assert outcome.finished and not outcome.reached
        assert found.arrays["state/updates"][0] == found.manifest["counters"]["update"]
        return dict(found.manifest["counters"])

    first = go_on(Run.create(tmp_path / "run", config), 64)
    assert first["update"] == 2 and first["total_steps"] == 64 and first["wall_seconds"] > 0
    second = go_on(Run.resume(tmp_path / "run"), 96)
    assert second["update"] == 3 and second["wall_seconds"] > first["wall_seconds"]


def test_counts_the_episodes_that_end_in_rollouts() -> None:
    found = train(small(n_steps=300, n_envs=2, n_epochs=1), 5)
    stats = found.stats
    assert len(stats) == found.counters["episode"] >= 2
    assert [s.episode for s in stats] == list(range(1, len(stats) + 1))
    assert sum(s.frames for s in stats) < found.counters["total_frames"]
    lengths = found.arrays["state/envs/length"]
    assert sum(s.length for s in stats) + lengths.sum() == found.counters["total_steps"] == 3000
    for item in stats:
        assert item.score <= -10 and item.frames >= 4 * item.length - 3
        assert item.total_steps == 600 * item.update > 0
        assert {"policy_loss", "value_loss", "entropy_loss", "approx_kl", "clip_fraction",
                "explained_variance", "learning_rate"} <= set(item.diagnostics)  # fmt: skip


def test_refuses_a_state_of_another_shape() -> None:
    half = train(small(), 1).snapshot
    with pytest.raises(ValueError, match=r"does not fit the agent: .*expected"):
        train(small(hidden=21), 2, state=half)
    lost = {name: array for name, array in half.arrays.items() if "screens" not in name}
    with pytest.raises(ValueError, match=r"state/envs/screens.*missing"):
        train(small(), 2, state=TrainerState(half.counters, lost))


# --- learning -----------------------------------------------------------------------------------


def learned(stages: Stages, threads: int = 1, dtype: str = "float64") -> Any:
    """Return a learner that has the rollouts of its first update."""
    stage = make_plan(ENV, stages, "cython", dtype).stages[0]
    parameters = stage.spec.initial_parameters(1)
    learner: Any = stage.spec.learner(stage, parameters, threads)
    actor = stage.spec.actor(stage, Chance(SEED, TRAIN))
    for task in range(stage.spec.tasks_per_update):
        learner.add(actor.play(task, parameters, EnvState(task)), parameters)
    return learner


def batch_of(learner: Any, dtype: str = "float64") -> Batch:
    return Batch.of(learner.rollouts, learner.settings, learner.spec.kernels, dtype)


def test_the_first_step_finds_the_policy_that_played() -> None:
    """One pass, one minibatch: ratios are 1, and the loss is minus the mean advantage, 0."""
    said = learned(small(n_epochs=1, batch_size=10**6, n_steps=120)).update()
    assert said["approx_kl"] == pytest.approx(0, abs=1e-15) and said["clip_fraction"] == 0
    assert said["policy_loss"] == pytest.approx(0, abs=1e-12)
    assert said["entropy_loss"] == pytest.approx(-np.log(2), rel=1e-2)
    assert said["learning_rate"] == 1e-2 and said["gradient_norm"] > 0


def test_schedules_fall_to_their_ends() -> None:
    stages = small(learning_rate="linear:1e-2:2.5e-3:500")
    rates = [made.metrics["learning_rate"] for made in islice(course(ENV, stages), 7)]
    done = np.minimum(1, np.arange(7) * 3 * 40 / 500)
    np.testing.assert_allclose(rates, 1e-2 * (1 - 0.75 * done))


def test_a_constant_is_a_schedule() -> None:
    stages = small(learning_rate=2e-3, ent_coef=0.0)
    rates = [made.metrics["learning_rate"] for made in islice(course(ENV, stages), 2)]
    assert rates == [2e-3, 2e-3]


def test_every_point_ends_the_return() -> None:
    learner = learned(small(n_steps=200, gamma=0.9, gae_lambda=1.0))
    batch = batch_of(learner)
    for k, rollout in enumerate(learner.rollouts):
        returns, expected = batch.steps.returns[200 * k : 200 * (k + 1)], rollout.values[200]
        assert (rollout.rewards != 0).sum() >= 2
        for t in reversed(range(200)):
            point = float(rollout.rewards[t])
            expected = point if point else 0.9 * expected
            assert returns[t] == pytest.approx(expected, rel=1e-9)
        assert np.array_equal(batch.steps.actions[200 * k : 200 * (k + 1)], rollout.actions)
        for t in (0, 77, 199):
            mine = slice(*batch.inputs.indptr[200 * k + t : 200 * k + t + 2])
            theirs = slice(*rollout.indptr[t : t + 2])
            assert np.array_equal(batch.inputs.indices[mine], rollout.indices[theirs])
            assert np.array_equal(batch.inputs.values[mine], rollout.counts[theirs])
    assert batch.steps.advantage.mean() == pytest.approx(0, abs=1e-12)
    assert batch.steps.advantage.std() == pytest.approx(1)


def test_where_a_point_ends_no_return_only_an_episode_does() -> None:
    learner = learned(small(n_steps=200, gamma=0.9, gae_lambda=1.0))
    kernels, settings = learner.spec.kernels, learner.settings
    batch = Batch.of(learner.rollouts, settings, kernels, "float64", point_ends_return=False)
    expected = learner.rollouts[0].values[200]
    for t in reversed(range(200)):
        expected = float(learner.rollouts[0].rewards[t]) + 0.9 * expected
        assert batch.steps.returns[t] == pytest.approx(expected, rel=1e-9)


def test_long_gradients_are_cut_down() -> None:
    steps = []
    for max_norm in (1e-12, 1e9):
        learner = learned(small(n_epochs=1, max_grad_norm=max_norm))
        learner.update()
        steps.append(np.abs(learner.state()["mean"]).max())
    assert steps[0] < 1e-12 < 1e-4 < steps[1]


@pytest.mark.parametrize("backend", ["cython", "numba", "numpy"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_an_update_has_the_same_bits_on_any_number_of_threads(dtype: str, backend: str) -> None:
    stages = small(hidden=83, n_epochs=2, batch_size=37, max_grad_norm=0.05)
    ways = []
    for threads in (1, 2, 5):
        learner = learned(stages, dtype=dtype)
        updater = Updater(settings_of(stages), get_backend(backend), dtype, threads)
        parameters, state = learner.parameters, learner.state()
        said = updater.learn(batch_of(learner, dtype), parameters, state, 7.75e-3, 0.004)
        ways.append((parameters | state, said))
    (want, want_said), *others = ways
    for got, said in others:
        assert said == want_said
        for name in ("rows", "units", "mean", "square", "steps", "seen"):
            assert np.array_equal(got[name], want[name])


def updater_of_two() -> tuple[Updater, tuple[Any, ...]]:
    """An updater on two threads, and the arguments of an update."""
    stages = small(hidden=48)
    learner = learned(stages)
    updater = Updater(settings_of(stages), learner.spec.kernels, "float64", 2)
    return updater, (batch_of(learner), learner.parameters, learner.state(), 1e-2, 0.005)


@pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2,
    reason="needs Linux and two processors",
)
def test_threads_keep_to_a_processor_while_they_learn_and_are_free_after() -> None:
    updater, arguments = updater_of_two()
    before, main = os.sched_getaffinity(0), threading.get_native_id()
    threads: dict[int, int] = {}
    updater.team.each(lambda k: threads.update({k: threading.get_native_id()}))
    helper = threads[1]
    found: list[tuple[set[int], set[int]]] = []
    done = threading.Event()

    def look() -> None:
        while not done.is_set():
            pair = os.sched_getaffinity(main), os.sched_getaffinity(helper)
            if all(len(mask) == 1 for mask in pair):
                found.append(pair)

    watcher = threading.Thread(target=look)
    watcher.start()
    deadline = time.monotonic() + PATIENCE
    while not found and time.monotonic() < deadline:
        updater.learn(*arguments)
    done.set()
    watcher.join()
    assert found and all(one != other for one, other in found)
    assert os.sched_getaffinity(main) == os.sched_getaffinity(helper) == before


@pytest.mark.timeout(PATIENCE, method="thread")  # a main thread that waits in C hears no signal
@pytest.mark.parametrize("broken", [0, 1])
def test_a_thread_that_fails_leaves_no_other_waiting_and_the_weights_alone(
    broken: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    updater, arguments = updater_of_two()
    part = updater.parts[broken]

    def fail(_: Any) -> None:
        raise MemoryError("no room")

    monkeypatch.setattr(part, "take", fail)
    before = {name: array.copy() for name, array in arguments[1].items()}
    with pytest.raises(MemoryError, match="no room"):
        updater.learn(*arguments)
    for name, array in arguments[1].items():
        assert np.array_equal(array, before[name])
    monkeypatch.undo()
    updater.learn(*arguments)
    assert any(not np.array_equal(arguments[1][name], before[name]) for name in before)


def test_a_gradient_that_is_not_finite_ends_training() -> None:
    learner = learned(small())
    learner.parameters["units"][2, 0] = np.inf
    with pytest.raises(ArithmeticError, match="diverged"):
        learner.update()


def test_unseen_rows_move_with_their_parents_only() -> None:
    learner = learned(small(n_epochs=1))
    parameters = learner.parameters
    before = parameters["rows"].copy()
    learner.update()
    tree, seen = learner.spec.pyramid, learner.state()["seen"]
    moved = (parameters["rows"] != before).any(axis=1)
    above = tree.parents[0]
    assert (moved == (seen[above] != 0)).all() and 0 < moved.sum() < tree.base
    alone = np.flatnonzero(moved & (seen[: tree.base] == 0))
    brothers = {}
    for row in alone:
        step = (parameters["rows"] - before)[row]
        assert_close(step, brothers.setdefault(above[row], step), 1e-9)


def test_an_updater_keeps_threads_only_where_there_is_work_for_them() -> None:
    kernels = get_backend("cython")
    for hidden, threads, size in ((20, 1, 1), (16, 4, 1), (64, 4, 4)):
        settings = settings_of(small(hidden=hidden))
        assert Updater(settings, kernels, "float32", threads).team.size == size


# --- settings and evaluation --------------------------------------------------------------------


def test_settings_are_checked() -> None:
    for bad in ({"coarse_cells": "3x3:1"}, {"coarse_cells": "4x4"}, {"cell_size": 3},
                {"n_envs": 0}, {"batch_size": 0}, {"clip_range": 1.0}, {"gamma": 1.5},
                {"n_epochs": 0}, {"noop_max": 201}, {"n_steps": 10**12}, {"learning_rate": 0.0},
                {"learning_rate": "linear:1e-3:0:9"}, {"ent_coef": "linear:1:-1:9"},
                {"coarse_cells": "4x100000000000000000000:1"}):  # fmt: skip
        with pytest.raises(ValueError, match=f"^{next(iter(bad))}: expected"):
            Config.build({"agent": "ppo", **bad})
    config = Config.build({"agent": "ppo"})
    assert (config.episodes, config.save_every) == (1000, 50)
    assert Config.build(config.flat()) == config


def test_evaluation_plays_whole_games_the_same_for_any_number_of_workers() -> None:
    stages = tuple(small())
    stage = make_plan(ENV, stages, "cython", "float32").stages[0]
    parameters = stage.spec.initial_parameters(1)
    for greedy in (False, True):
        player = Player(ENV, stages, 0, "cython", "float32", SEED, greedy)
        runs = [
            list(evaluate(player, parameters, episodes=3, workers=workers)) for workers in (1, 2)
        ]
        assert runs[0] == runs[1]
        actor: Any = stage.spec.actor(stage, Chance(SEED, EVAL, greedy))
        for game in runs[0]:
            assert actor.play(game.number, parameters) == Game(game.score, game.length, game.frames)
            assert 15 <= abs(game.score) <= 21 and game.length > 500
