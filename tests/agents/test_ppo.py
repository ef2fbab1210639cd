"""The actor-critic agent over real workers and the real emulator: exact, however it is run."""

from __future__ import annotations

import dataclasses
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastpong.agents.ppo.learner import Batch, Learner
from tolerances import TRAINING, assert_close

from fastpong.acting.rollout import EnvState, Game
from fastpong.agents import create, make_player
from fastpong.agents.ppo.agent import Settings
from fastpong.envs.draws import EVAL, TRAIN
from fastpong.kernels import get_backend
from fastpong.learning import aligned
from fastpong.learning.team import shares
from fastpong.runtime.pool import Pool
from fastpong.runtime.sharedmem import SharedArrays
from fastpong.settings.config import Config
from fastpong.storage.checkpoint import newest
from fastpong.storage.run import Run
from fastpong.training.evaluation import Player, evaluate
from fastpong.training.session import Session
from fastpong.training.trainer import Trainer, TrainerState

ENV, SEED = "PongDeterministic-v4", 5


def small(**changes: Any) -> Settings:
    given: dict[str, Any] = {
        **{"hidden": 20, "lanes": 3, "segment": 40, "minibatch": 50, "epochs": 2},
        **{"resolution": 4, "levels": "8x8:0.35", "anneal": 500, "learning_rate": 1e-2},
    }
    return Settings(**{**given, **changes})


def train(
    settings: Settings, updates: int, *, backend: str = "cython", dtype: str = "float32",
    workers: int = 2, threads: int = 1, state: Any = None, env: str = ENV, hurt: Any = None,
) -> Any:  # fmt: skip
    """Train for real until so many updates are made; return the last snapshot and the stats."""
    agent = create("ppo", settings, backend, dtype)
    agent.threads = threads
    weights = SharedArrays(agent.shapes, dtype, settings.lag + 1)
    arguments = ("ppo", settings, backend, dtype, env, SEED, TRAIN, False)
    stats: list[Any] = []
    with Pool(make_player, arguments, weights, workers=workers) as pool:
        trainer = Trainer(agent, pool, weights, seed=SEED, episodes=10**6, state=state)

        def stop() -> bool:
            if hurt is not None:
                hurt(pool, trainer)
            return bool(trainer.counters["update"] >= updates)

        stats += trainer.run(stop)
        return trainer.snapshot(), stats, pool.restarts


def train_plainly(settings: Settings, updates: int, dtype: str) -> Any:
    """Train in one process, lane by lane, as the schedule is written in words."""
    agent = create("ppo", settings, "cython", dtype)
    play = agent.player(ENV, SEED, TRAIN, False)
    versions, state = [agent.initial_parameters(SEED)], agent.initial_state()
    lanes = [EnvState()] * settings.lanes
    for update in range(updates):
        behaviour = versions[max(0, update - settings.lag)]
        for k in range(settings.lanes):
            segment = play(update * settings.lanes + k, behaviour, lanes[k])
            lanes[k] = segment.state
            agent.add(segment, behaviour, state)
        newest = {name: array.copy() for name, array in versions[-1].items()}
        agent.update(newest, state)
        versions.append(newest)
    return versions[-1], state


def same(first: Any, second: Any) -> bool:
    assert first.arrays.keys() == second.arrays.keys()
    return all(np.array_equal(a, second.arrays[name]) for name, a in first.arrays.items())


# --- training -----------------------------------------------------------------------------------


def test_evaluation_plays_with_the_average_of_the_updates() -> None:
    """Against the closed form: weights of w_t proportional to t (t + 1) ... (t + eta - 1)."""
    settings, updates = small(averaging=2.0), 4
    agent = create("ppo", settings, "cython", "float64")
    parameters, state = agent.initial_parameters(SEED), agent.initial_state()
    assert agent.final_parameters(parameters, state) is parameters
    seen = []
    for u in range(1, updates + 1):
        newest, state = train_plainly(settings, u, "float64")
        seen.append(newest)
    share = np.array([t * (t + 1) for t in range(1, updates + 1)], float)
    for name, average in agent.final_parameters(newest, state).items():
        assert_close(average, np.tensordot(share / share.sum(), [w[name] for w in seen], 1))
        assert not np.allclose(average, newest[name], rtol=1e-4, atol=1e-7)
    plain = train_plainly(small(averaging=0.0), 2, "float64")[1]
    assert_close(plain["average/units"], (seen[0]["units"] + seen[1]["units"]) / 2)


@pytest.mark.parametrize("lag", [0, 1, 2])
def test_follows_the_schedule_bit_for_bit(lag: int) -> None:
    settings = small(lag=lag)
    snapshot, _, _ = train(settings, 4)
    parameters, state = train_plainly(settings, 4, "float32")
    for name, array in parameters.items():
        assert np.array_equal(snapshot.arrays[f"parameters/0/{name}"], array)
    for name, array in state.items():
        assert np.array_equal(snapshot.arrays[f"state/{name}"], array)
    assert snapshot.counters["update"] == 4 and snapshot.counters["task"] == 12
    assert snapshot.counters["total_steps"] == 4 * 3 * 40
    assert all(f"parameters/{k}/rows" in snapshot.arrays for k in range(lag + 1))


@pytest.mark.parametrize("lag", [0, 1])
def test_weights_depend_on_neither_workers_nor_threads(lag: int) -> None:
    settings = small(lag=lag, hidden=50)
    one = train(settings, 3, workers=1, threads=1, env="ALE/Pong-v5")[0]
    for workers, threads in ((2, 3), (3, 2)):
        other = train(settings, 3, workers=workers, threads=threads, env="ALE/Pong-v5")[0]
        assert same(one, other)


@pytest.mark.parametrize(("lag", "until"), [(0, 1), (1, 1), (1, 3), (2, 2)])
def test_an_interrupted_run_goes_on_bit_for_bit(lag: int, until: int) -> None:
    settings = small(lag=lag, last_action=True)
    whole, stats, _ = train(settings, 5, env="Pong-v0")
    half, first, _ = train(settings, until, env="Pong-v0")
    assert half.counters["update"] == until
    rest, second, _ = train(settings, 5, env="Pong-v0", state=half)
    assert same(whole, rest)
    for name in ("task", "episode", "update", "total_steps", "total_frames", "running_mean"):
        assert whole.counters[name] == rest.counters[name]
    assert [s.score for s in first + second] == [s.score for s in stats]


def test_a_worker_that_dies_in_a_segment_changes_nothing() -> None:
    want = train(small(), 3)[0]
    killed: list[int] = []

    def hurt(pool: Any, trainer: Any) -> None:
        ready = [w.process.pid for w in pool._workers if w.ready and w.job is not None]
        if ready and len(killed) < 2 and trainer.counters["update"] == len(killed):
            killed.append(ready[0])
            os.kill(ready[0], signal.SIGKILL)

    got, _, restarts = train(small(), 3, hurt=hurt)
    assert restarts == len(killed) == 2
    assert same(want, got)


def test_a_stop_in_the_middle_of_a_batch_stands_between_two_updates() -> None:
    settings, polls = small(lanes=4, segment=30), []
    agent = create("ppo", settings, "cython", "float32")
    weights = SharedArrays(agent.shapes, "float32", 1)
    arguments = ("ppo", settings, "cython", "float32", ENV, SEED, TRAIN, False)
    with Pool(make_player, arguments, weights, workers=1) as pool:
        trainer = Trainer(agent, pool, weights, seed=SEED, episodes=9)

        def stop() -> bool:
            polls.append(len(trainer._played))
            return trainer.counters["update"] == 1 and 0 < len(trainer._played) < 4

        list(trainer.run(stop))
        half = trainer.snapshot()
    assert half.counters["update"] == 1 and half.counters["task"] == 4 and polls[-1] > 0
    rest = train(settings, 3, state=half)[0]
    assert same(rest, train(settings, 3)[0])


@pytest.mark.timeout(240)
def test_compiled_backends_agree_with_the_oracle() -> None:
    settings = small(hidden=70, lanes=2, segment=60, levels="8x8:0.35 80x4:0.2", lag=1)
    settings = dataclasses.replace(settings, last_action=True, learning_rate=1e-3)
    exact = train(settings, 4, backend="numpy", dtype="float64")[0]
    for backend in ("cython", "numba"):
        snapshot = train(settings, 4, backend=backend, dtype="float64")[0]
        for name, array in exact.arrays.items():
            if name.startswith("parameters/"):
                assert_close(snapshot.arrays[name], array, TRAINING)
            elif name.startswith("state/lanes") or name.endswith("seen"):
                assert np.array_equal(snapshot.arrays[name], array), name


def test_the_oracle_learns_the_same_on_any_number_of_threads() -> None:
    one, other = (
        train(small(hidden=48), 1, backend="numpy", dtype="float64", threads=t)[0] for t in (1, 3)
    )
    assert same(one, other)


def test_a_run_that_stops_between_games_keeps_its_updates(tmp_path: Path) -> None:
    """No game of these lanes ends within a few updates; each of them is saved all the same."""
    settings = {"lanes": 2, "segment": 16, "hidden": 16, "workers": 1, "env": ENV}
    config = Config.build({"agent": "ppo", **settings})

    def go_on(run: Run, updates: int) -> dict[str, Any]:
        with run, Session(config) as session:
            made: list[int] = []
            update = session.agent.update
            session.agent.update = lambda *a: made.append(1) or update(*a)  # type: ignore
            outcome = session.train(run, stop=lambda: len(made) >= updates)
        found, refusals = newest(tmp_path / "run" / "checkpoints")
        assert (outcome.episode, outcome.saved, found.episode, refusals) == (0, 0, 0, [])
        assert found.arrays["state/updates"][0] == found.manifest["counters"]["update"]
        return dict(found.manifest["counters"])

    first = go_on(Run.create(tmp_path / "run", config), 2)
    assert first["update"] == 2 and first["total_steps"] == 64 and first["wall_seconds"] > 0
    second = go_on(Run.resume(tmp_path / "run"), 1)
    assert second["update"] == 3 and second["wall_seconds"] > first["wall_seconds"]


def test_counts_the_games_that_end_in_segments() -> None:
    settings = small(segment=300, lanes=2, epochs=1)
    snapshot, stats, _ = train(settings, 5)
    assert len(stats) == snapshot.counters["episode"] >= 2
    assert [s.episode for s in stats] == list(range(1, len(stats) + 1))
    assert sum(s.frames for s in stats) < snapshot.counters["total_frames"]
    lengths = snapshot.arrays["state/lanes/length"]
    assert sum(s.length for s in stats) + lengths.sum() == snapshot.counters["total_steps"] == 3000
    for item in stats:
        assert item.score <= -10 and item.frames >= 4 * item.length - 3
        assert item.total_steps == 600 * item.update > 0
        assert {"policy_loss", "value_loss", "entropy_loss", "approx_kl", "clip_fraction",
                "explained_variance", "learning_rate"} <= set(item.diagnostics)  # fmt: skip


def test_refuses_a_state_of_another_shape() -> None:
    half = train(small(), 1)[0]
    with pytest.raises(ValueError, match=r"does not fit the agent: .*expected"):
        train(small(hidden=21), 2, state=half)
    lost = {name: array for name, array in half.arrays.items() if "screens" not in name}
    with pytest.raises(ValueError, match=r"state/lanes/screens.*missing"):
        train(small(), 2, state=TrainerState(half.counters, lost))


# --- learning -----------------------------------------------------------------------------------


def learned(settings: Settings, threads: int = 1, dtype: str = "float64") -> Any:
    agent = create("ppo", settings, "cython", dtype)
    agent.threads = threads
    parameters, state = agent.initial_parameters(1), agent.initial_state()
    play = agent.player(ENV, SEED, TRAIN, False)
    for k in range(settings.lanes):
        agent.add(play(k, parameters, EnvState()), parameters, state)
    return agent, parameters, state


def test_the_first_step_finds_the_policy_that_played() -> None:
    """One pass, one minibatch: ratios are 1, and the loss is minus the mean advantage, 0."""
    agent, parameters, state = learned(small(epochs=1, minibatch=10**6, segment=120))
    said = agent.update(parameters, state)
    assert said["approx_kl"] == pytest.approx(0, abs=1e-15) and said["clip_fraction"] == 0
    assert said["policy_loss"] == pytest.approx(0, abs=1e-12)
    assert said["entropy_loss"] == pytest.approx(-np.log(2), rel=1e-2)
    assert said["learning_rate"] == 1e-2 and said["gradient_norm"] > 0


def test_schedules_fall_to_their_ends() -> None:
    settings = small(final_rate=0.25)
    agent, parameters, state = learned(settings)
    rates = []
    for _ in range(7):
        rates.append(agent.update(parameters, state)["learning_rate"])
        play = agent.player(ENV, SEED, TRAIN, False)
        for k in range(settings.lanes):
            agent.add(play(k, parameters, EnvState()), parameters, state)
    done = np.minimum(1, np.arange(7) * 3 * 40 / 500)
    np.testing.assert_allclose(rates, 1e-2 * (1 - 0.75 * done))


def test_every_point_ends_the_return() -> None:
    settings = small(segment=200, gamma=0.9, gae_lambda=1.0)
    agent, _, _ = learned(settings)
    batch = Batch.of(agent._segments, settings, agent.kernels, "float64")
    for k, segment in enumerate(agent._segments):
        returns, expected = batch.steps.returns[200 * k : 200 * (k + 1)], segment.values[200]
        assert (segment.rewards != 0).sum() >= 2
        for t in reversed(range(200)):
            point = float(segment.rewards[t])
            expected = point if point else 0.9 * expected
            assert returns[t] == pytest.approx(expected, rel=1e-9)
        assert np.array_equal(batch.steps.actions[200 * k : 200 * (k + 1)], segment.actions)
        for t in (0, 77, 199):
            mine = slice(*batch.inputs.indptr[200 * k + t : 200 * k + t + 2])
            theirs = slice(*segment.indptr[t : t + 2])
            assert np.array_equal(batch.inputs.indices[mine], segment.indices[theirs])
            assert np.array_equal(batch.inputs.values[mine], segment.counts[theirs])
    assert batch.steps.advantage.mean() == pytest.approx(0, abs=1e-12)
    assert batch.steps.advantage.std() == pytest.approx(1)


def test_long_gradients_are_cut_down() -> None:
    steps = []
    for max_norm in (1e-12, 1e9):
        agent, parameters, state = learned(small(epochs=1, max_norm=max_norm))
        agent.update(parameters, state)
        steps.append(np.abs(state["mean"]).max())
    assert steps[0] < 1e-12 < 1e-4 < steps[1]


@pytest.mark.parametrize("backend", ["cython", "numba", "numpy"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_an_update_has_the_same_bits_on_any_number_of_threads(dtype: str, backend: str) -> None:
    settings = small(hidden=83, epochs=2, minibatch=37, max_norm=0.05)
    ways = []
    for threads in (1, 2, 5):
        agent, parameters, state = learned(settings, dtype=dtype)
        kernels = get_backend(backend)
        learner = Learner(settings, kernels, dtype, threads)
        batch = Batch.of(agent._segments, settings, agent.kernels, dtype)
        ways.append((parameters | state, learner.learn(batch, parameters, state, 0.25)))
    (want, want_said), *others = ways
    for got, said in others:
        assert said == want_said
        for name in ("rows", "units", "mean", "square", "steps", "seen"):
            assert np.array_equal(got[name], want[name])


def learner_of_two() -> tuple[Learner, tuple[Any, ...]]:
    """A learner on two threads, and the arguments of an update."""
    settings = small(hidden=48)
    agent, parameters, state = learned(settings)
    batch = Batch.of(agent._segments, settings, agent.kernels, "float64")
    return Learner(settings, agent.kernels, "float64", 2), (batch, parameters, state, 0.0)


@pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2,
    reason="needs Linux and two processors",
)
def test_threads_keep_to_a_processor_while_they_learn_and_are_free_after() -> None:
    learner, arguments = learner_of_two()
    before, main = os.sched_getaffinity(0), threading.get_native_id()
    threads: dict[int, int] = {}
    learner.team.each(lambda k: threads.update({k: threading.get_native_id()}))
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
    deadline = time.monotonic() + 20
    while not found and time.monotonic() < deadline:
        learner.learn(*arguments)
    done.set()
    watcher.join()
    assert found and all(one != other for one, other in found)
    assert os.sched_getaffinity(main) == os.sched_getaffinity(helper) == before


@pytest.mark.timeout(15, method="thread")  # a main thread that waits in C hears no signal
@pytest.mark.parametrize("broken", [0, 1])
def test_a_thread_that_fails_leaves_no_other_waiting_and_the_weights_alone(
    broken: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    learner, arguments = learner_of_two()
    part = learner.parts[broken]

    def fail(_: Any) -> None:
        raise MemoryError("no room")

    monkeypatch.setattr(part, "take", fail)
    before = {name: array.copy() for name, array in arguments[1].items()}
    with pytest.raises(MemoryError, match="no room"):
        learner.learn(*arguments)
    for name, array in arguments[1].items():
        assert np.array_equal(array, before[name])
    monkeypatch.undo()
    learner.learn(*arguments)
    assert any(not np.array_equal(arguments[1][name], before[name]) for name in before)


def test_a_gradient_that_is_not_finite_ends_training() -> None:
    agent, parameters, state = learned(small())
    parameters["units"][2, 0] = np.inf
    with pytest.raises(ArithmeticError, match="diverged"):
        agent.update(parameters, state)


def test_unseen_rows_move_with_their_parents_only() -> None:
    agent, parameters, state = learned(small(epochs=1))
    before = parameters["rows"].copy()
    agent.update(parameters, state)
    tree, seen = agent.pyramid, state["seen"]
    moved = (parameters["rows"] != before).any(axis=1)
    above = tree.parents[0]
    assert (moved == (seen[above] != 0)).all() and 0 < moved.sum() < tree.base
    alone = np.flatnonzero(moved & (seen[: tree.base] == 0))
    brothers = {}
    for row in alone:
        step = (parameters["rows"] - before)[row]
        assert_close(step, brothers.setdefault(above[row], step), 1e-9)


@pytest.mark.parametrize(("size", "count", "align"), [(128, 2, 16), (200, 3, 16), (7, 4, 16),
                                                      (5, 9, 1), (0, 2, 1)])  # fmt: skip
def test_shares_cover_all_once(size: int, count: int, align: int) -> None:
    found = shares(size, count, align)
    assert [n for a, b in found for n in range(a, b)] == list(range(size))
    assert len(found) <= count and all(a % align == 0 for a, _ in found)


@pytest.mark.parametrize("shape", [(1, 1), (3, 2, 5), (1000, 48)])
@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8"])
def test_aligned_arrays_begin_on_a_cache_line(shape: tuple[int, ...], dtype: str) -> None:
    made = aligned.zeros(shape, dtype)
    assert made.shape == shape and made.dtype == dtype and made.flags.c_contiguous
    assert made.ctypes.data % 64 == 0 and not made.any()
    made[...] = 1
    assert made.sum() == made.size


def test_learner_keeps_threads_only_where_there_is_work_for_them() -> None:
    agent = create("ppo", small(), "cython", "float32")
    for hidden, threads, size in ((20, 1, 1), (16, 4, 1), (64, 4, 4)):
        assert Learner(small(hidden=hidden), agent.kernels, "float32", threads).team.size == size


# --- settings and evaluation --------------------------------------------------------------------


def test_settings_are_checked() -> None:
    for bad in ({"levels": "3x3:1"}, {"levels": "4x4"}, {"resolution": 3}, {"lanes": 0},
                {"minibatch": 0}, {"clip": 1.0}, {"gamma": 1.5}, {"epochs": 0},
                {"noops": 201}, {"segment": 10**12}, {"epsilon": 1e-30},
                {"levels": "4x100000000000000000000:1"}):  # fmt: skip
        with pytest.raises(ValueError, match=f"^{next(iter(bad))}: expected"):
            Config.build({"agent": "ppo", **bad})
    config = Config.build({"agent": "ppo"})
    assert (config.episodes, config.save_every) == (1000, 50)
    assert Config.build(config.flat()) == config


def test_evaluation_plays_whole_games_the_same_for_any_number_of_workers() -> None:
    settings = small()
    parameters = create("ppo", settings, "cython", "float32").initial_parameters(1)
    for greedy in (False, True):
        player = Player("ppo", settings, "cython", "float32", ENV, SEED, greedy)
        runs = [
            list(evaluate(player, parameters, episodes=3, workers=workers)) for workers in (1, 2)
        ]
        assert runs[0] == runs[1]
        play = create("ppo", settings, "cython", "float32").player(ENV, SEED, EVAL, greedy)
        for game in runs[0]:
            assert play(game.number, parameters) == Game(game.score, game.length, game.frames)
            assert 15 <= abs(game.score) <= 21 and game.length > 500
