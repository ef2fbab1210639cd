"""Q-learning over real workers and the real emulator: exact, however it is run."""

from __future__ import annotations

import dataclasses
from itertools import islice
from typing import Any

import numpy as np
import pytest
from tolerances import assert_close
from training_cases import (
    SEED,
    Made,
    Stages,
    Trained,
    after,
    course,
    same_arrays,
    stages_of,
    train_once,
)
from training_cases import train as train_stages

from fastpong.acting.rollout import EnvState, Game
from fastpong.agents import make_plan
from fastpong.agents.dqn.replay import Replay
from fastpong.agents.dqn.settings import DQNSettings
from fastpong.agents.dqn.updater import QUpdater
from fastpong.agents.protocol import Chance
from fastpong.envs.draws import EVAL, TRAIN
from fastpong.envs.games import PONG
from fastpong.envs.variants import VARIANTS, Variant
from fastpong.runtime.cputime import CpuMeter
from fastpong.settings.config import Config
from fastpong.training.evaluation import Player, evaluate

ENV = "ALE/Pong-v5"

SMALL: dict[str, Any] = {
    **{"hidden": 20, "n_envs": 3, "n_steps": 40, "batch_size": 50, "replay_ratio": 2.0},
    **{"cell_size": 8, "coarse_cells": "16x16:0.35 160x8:0.2", "n_step": 7},
    **{"learning_rate": "linear:1e-2:1e-3:500", "learning_starts": 200, "buffer_size": 500},
    **{"target_update_interval": 7, "exploration_steps": 300, "max_grad_norm": 0.05},
}
POLICY: dict[str, Any] = {
    **{"agent": "ppo", "n_steps": 60, "learning_rate": "linear:0.02:0.01:240"},
    **{"ent_coef": "linear:0.1:0.01:240", "gamma": 0.9**0.5, "gae_lambda": 0.8**0.5},
    **{"n_epochs": 2, "batch_size": 30, "max_grad_norm": 0.5},
    **{"policy_temperature": 0.5, "sharpening": 4.0},
}


def small(*later: dict[str, Any], env: str = ENV, **changes: Any) -> Stages:
    """Return a first stage, and later ones. Updates are of 120 steps."""
    return stages_of("dqn", env=env, stages=later, **{**SMALL, **changes})


def finer(from_step: int, frame_skip: int = 2, **changes: Any) -> dict[str, Any]:
    return {"from_step": from_step, "frame_skip": frame_skip, **changes}


def policy(from_step: int, **changes: Any) -> dict[str, Any]:
    return {"from_step": from_step, **POLICY, **changes}


def train(stages: Stages, updates: int, **how: Any) -> Trained:
    return train_stages(ENV, stages, updates=updates, **how)


def played(stages: Stages, updates: int, **how: Any) -> Made:
    return after(updates, ENV, stages, seed=1, **how)


def rounds(stages: Stages, updates: int) -> list[Made]:
    """Make updates in one process, and return the last."""
    return list(islice(course(ENV, stages, seed=1), updates))


# --- training -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lag", "later"),
    [
        *((0, ()), (1, ()), (1, (finer(240),)), (0, (finer(120), policy(360)))),
        (1, (finer(120), policy(360))),
    ],
    ids=["plain", "lag", "lag-finer", "policy", "lag-policy"],
)
def test_weights_depend_on_neither_workers_nor_threads(lag: int, later: Any) -> None:
    stages = small(*later, lag=lag, hidden=150, learning_starts=100)
    one = train(stages, 5, workers=1, threads=1)
    assert one.arrays["state/steps"][0] > 0
    for workers, threads in ((2, 3), (3, 2)):
        assert same_arrays(one.arrays, train(stages, 5, workers=workers, threads=threads).arrays)


@pytest.mark.parametrize(
    ("lag", "until", "later"),
    [
        *((0, 1, ()), (0, 4, ()), (1, 3, ()), (0, 2, (finer(240),))),
        *((1, until, (finer(120), finer(360, 1))) for until in (2, 3, 4)),
        *((lag, until, (finer(120), policy(360))) for until in (1, 2, 3, 4) for lag in (0, 1)),
    ],
)
def test_an_interrupted_run_goes_on_bit_for_bit(lag: int, until: int, later: Any) -> None:
    """In the middle of every stage, and where one ends."""
    stages = small(*later, lag=lag, learning_starts=100)
    half = train(stages, until)
    assert half.counters["update"] == until
    whole = train_once(ENV, stages, updates=6)
    rest = train(stages, 6, state=half.snapshot)
    assert same_arrays(whole.arrays, rest.arrays)
    for name in ("task", "episode", "update", "total_steps", "total_frames", "running_mean"):
        assert whole.counters[name] == rest.counters[name]


@pytest.mark.parametrize(
    ("lag", "last"), [(0, policy(360)), (1, finer(360, 1)), (1, policy(360)), (2, policy(360))]
)
def test_follows_the_schedule_over_stages_bit_for_bit(lag: int, last: Any) -> None:
    stages = small(finer(120), last, lag=lag, learning_starts=100)
    found = train(stages, 5)
    made = after(5, ENV, stages, dtype="float32")
    for name, array in made.arrays().items():
        assert np.array_equal(found.arrays[name], array), name
    assert found.counters["total_steps"] == (360 + 2 * 180 if "agent" in last else 600)


def test_a_rollout_begins_where_the_one_before_ended() -> None:
    """Over stages and with lag, too: payloads hand over the environments' states."""
    stages = small(finer(120), lag=1)
    found = train(stages, 3, workers=2)
    firsts = [task.payload for task in found.tasks if task.number < 3]
    assert [state.saved for state in firsts] == [b"", b"", b""]
    assert [task.payload.env for task in found.tasks] == [task.number % 3 for task in found.tasks]
    stage = make_plan(ENV, stages, "cython", "float32").at
    states: dict[int, EnvState] = {}
    parameters = stage(0).spec.initial_parameters(SEED)  # of version 0 are the first two batches
    for task in found.tasks[:6]:
        planned = stage(task.number)
        actor: Any = planned.spec.actor(planned, Chance(SEED, TRAIN))
        if task.number >= 3:
            assert task.payload.saved == states[task.number % 3].saved
            assert np.array_equal(task.payload.screens, states[task.number % 3].screens)
        states[task.number % 3] = actor.play(task.number, parameters, task.payload).state


def test_the_cpu_time_of_workers_that_are_gone_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """As when a signal to all ends workers and fork server while an update is being made."""
    readings = iter([5.0, 7.0, 1.0, 2.0, 9.0])
    monkeypatch.setattr(CpuMeter, "seconds", lambda _: next(readings))
    assert train(small(), 4).counters["cpu_seconds"] == 7.0


# --- stages with a shorter frame skip -----------------------------------------------------------

FINE = (
    finer(360, 2, gamma=0.9 ** (1 / 2), n_step=6, replay_ratio=1.0),
    finer(600, 1, gamma=0.8 ** (1 / 4), n_step=12, replay_ratio=1.0, exploration_final_eps=0.25),
)
"""With ``small`` updates 0 to 2 are of 4 frames a step, 3 and 4 of 2, and then of 1."""


def fine(*later: dict[str, Any], **changes: Any) -> Stages:
    return small(*FINE, *later, **{"learning_starts": 120, **changes})


def test_frames_of_an_action_are_those_of_the_stage() -> None:
    stages = fine(frame_history=1)
    plan = make_plan(ENV, stages, "cython", "float64")
    first = plan.stages[0]
    parameters = first.spec.initial_parameters(1)
    learner = first.spec.learner(first, parameters, 1)
    # Those of three channels and three between each.
    assert learner.state()["envs/screens"].shape[1] == 9
    state, expected = EnvState(), [4, 4, 4, 2, 2, 1, 1, 1]
    for number, frames in enumerate(expected):
        stage = plan.at(3 * number)
        actor: Any = stage.spec.actor(stage, Chance(SEED, TRAIN))
        rollout = actor.play(3 * number, parameters, state)
        state = rollout.state
        # An episode begins with some frames without action.
        assert rollout.frames == 40 * frames or not number
    game = actor.play(0, parameters)
    assert 0 <= game.frames - game.length <= 30


def test_averages_begin_with_learning() -> None:
    """Where a stage begins before anything has been learned, too."""
    for begins, first in (((), 3), ((360,), 3), ((240,), 5), ((120, 240), 5), ((1,), 4),
                          ((200, 360), 6)):  # fmt: skip
        later = [finer(step, 2 - k) for k, step in enumerate(begins)]
        made = rounds(small(*later, learning_starts=240), first)
        for before in made[:-1]:
            assert "td_error" not in before.metrics
        assert made[-1].metrics and made[-1].state["learning_since"][0] == first - 1
        for name, average in made[-1].evaluated().items():
            assert_close(average, made[-1].parameters[name])


def test_finer_play_compares_screens_over_the_same_time() -> None:
    stages = fine(frame_history=1, exploration_final_eps=0.0, exploration_steps=1)
    stages = [dataclasses.replace(stage) for stage in stages]
    plan = make_plan("PongDeterministic-v4", stages, "cython", "float64")
    spec: Any = plan.stages[0].spec
    parameters, places = spec.initial_parameters(1), spec.pyramid.side**2
    state = None
    for number, apart in ((0, 1), (9, 2), (15, 4)):
        stage = plan.at(number)
        actor: Any = stage.spec.actor(stage, Chance(SEED, TRAIN))
        rollout = actor.play(number, parameters, state or EnvState())
        state, seen = rollout.state, np.zeros((41, spec.pyramid.base))
        for t in range(41):
            mine = slice(*rollout.indptr[t : t + 2])
            seen[t, rollout.indices[mine]] = rollout.counts[mine]
        frame, difference, earlier = (seen[:, k * places : (k + 1) * places] for k in range(3))
        since = 2 * apart  # before that screens of the coarser rollout are compared
        assert np.array_equal(difference[since:], frame[since:] - frame[since - apart : -apart])
        assert np.array_equal(earlier[since:], difference[since - apart : -apart])
        assert np.any(frame[1:] != frame[:-1], axis=1).sum() > 10


def test_what_was_played_otherwise_is_dropped() -> None:
    """And nothing learned until there is as much again as at the beginning."""
    stored, steps = [], []
    for made in islice(course(ENV, fine(), seed=1), 9):
        stored.append(made.by.replay.steps)
        steps.append(int(made.state["steps"][0]))
        assert ("td_error" in made.metrics) == bool(stored[-1])
        if made.learner is not made.by:
            assert not made.learner.replay.steps and made.state["replay/stored"][1] == 0
    assert stored == [0, 120, 240, 0, 120, 0, 120, 240, 360]
    # Twice for 4 frames, once for 2 and for 1.
    assert np.diff(steps).tolist() == [5, 5, 0, 2, 0, 2, 2, 2]


def test_a_stage_may_have_a_buffer_and_rollouts_of_its_own() -> None:
    stages = small(finer(240, buffer_size=900, n_steps=60, n_step=9), learning_starts=0)
    made = course(ENV, stages, seed=1)
    replays = [(len(one.by.replay.starts), one.by.replay.steps) for one in islice(made, 4)]
    assert replays == [(4, 0), (4, 120), (5, 0), (5, 180)]
    half = train(stages, 3)
    assert same_arrays(train(stages, 5, state=half.snapshot).arrays, train(stages, 5).arrays)


def test_a_schedule_goes_on_over_stages_or_begins_anew() -> None:
    """Updates are 120 steps long: the last stage begins at 600."""
    falls = {"learning_rate": "linear:0.5:0.05:400"}
    again = {**FINE[1], "learning_rate": "linear:0.2:0.02:300"}
    stages = small(FINE[0], again, learning_starts=120, **falls)
    said = {n * 120: one.metrics.get("learning_rate") for n, one in enumerate(rounds(stages, 8))}
    assert said == {0: None, 120: pytest.approx(0.365), 240: pytest.approx(0.23), 360: None,
                    480: pytest.approx(0.05), 600: None, 720: pytest.approx(0.128),
                    840: pytest.approx(0.056)}  # fmt: skip
    plain = rounds(fine(**falls), 8)
    assert plain[7].metrics["learning_rate"] == pytest.approx(0.05)


def test_a_stage_learns_with_its_own_settings() -> None:
    """The settings of one stage that are written down, and each of them matters."""
    made = played(fine(), 9)
    replay = made.learner.replay

    def learn(**changes: Any) -> Any:
        stages = small(**{"gamma": 0.8 ** (1 / 4), "n_step": 12, "replay_ratio": 1.0, **changes})
        spec: Any = made.learner.spec
        mine = {key: a.copy() for key, a in (made.parameters | made.state).items()}
        updater = QUpdater(settings_of(stages), spec.kernels, "float64", 1)
        updater.learn(replay, mine, mine, 1e-2)
        return mine["rows"]

    mine = {key: a.copy() for key, a in (made.parameters | made.state).items()}
    made.learner._updater.learn(replay, mine, mine, 1e-2)
    assert np.array_equal(mine["rows"], learn())
    for changed in ({"gamma": 0.5}, {"n_step": 1}, {"replay_ratio": 20.0}):
        assert not np.array_equal(mine["rows"], learn(**changed))


def settings_of(stages: Stages, stage: int = 0) -> DQNSettings:
    found = stages[stage].settings
    assert isinstance(found, DQNSettings)
    return found


# --- a stage of a policy ------------------------------------------------------------------------

HALF = finer(360, 2, gamma=0.9 ** (1 / 2), n_step=6, replay_ratio=2.0, exploration_final_eps=0.0)


def refined(**changes: Any) -> Stages:
    """Updates from 3 on are of two frames a step, from 6 on of the policy."""
    return small(HALF, policy(700, **changes), learning_starts=0)


def at_the_policys_beginning() -> Any:
    values = played(small(HALF, learning_starts=0), 6)
    expected = {name: values.state[f"average/{name}"].copy() for name in ("rows", "units")}
    expected["units"][1] /= 0.5
    return values, expected


def test_the_policy_begins_with_the_averaged_weights() -> None:
    values, expected = at_the_policys_beginning()
    made = played(refined(), 6)
    assert "td_error" in made.metrics  # of the update that was of values
    for name, weights in made.evaluated().items():
        assert np.array_equal(weights, expected[name])
        assert np.array_equal(made.parameters[name], expected[name])
        assert np.array_equal(made.state[f"average/{name}"], expected[name])
    for name in ("mean", "square", "steps"):
        assert values.state[name].any() and not made.state[name].any()
    assert np.array_equal(made.state["seen"], values.state["seen"]) and made.state["seen"].any()
    for name in ("saved", "screens", "score", "length"):
        assert np.array_equal(made.state[f"envs/{name}"], values.state[f"envs/{name}"])
    assert made.state["updates"][0] == made.state["learning_since"][0] == 6
    following = played(refined(), 7)
    assert "policy_loss" in following.metrics and following.state["steps"][0] == 12
    for name, weights in following.parameters.items():  # the average begins anew
        assert not np.array_equal(weights, expected[name])
        assert_close(following.state[f"average/{name}"], weights)


def test_the_policy_is_learned_as_ppo_does() -> None:
    """Weights of three updates, against a PPO of its own with settings written down here."""
    plain = small(HALF, policy(700, sharpening=1.0), learning_starts=0)
    made = rounds(refined(), 9)
    assert [one.metrics["learning_rate"] for one in made[6:]] == [0.02, 0.0125, 0.01]
    planned = make_plan(ENV, plain, "cython", "float64").stages[2]
    start = played(refined(), 6)
    weights = {name: array.copy() for name, array in start.parameters.items()}
    other: Any = planned.spec.learner(planned, weights, 1)
    for name, array in other.state().items():
        array[...] = start.state[name]
    actor: Any = planned.spec.actor(planned, Chance(SEED, TRAIN))
    # Log odds times 4 over steps 120 to 240 of the policy's: after 180 and 360 by the root, 4.
    for number, sharper in ((6, 2.0), (7, 2.0), (8, 1.0)):
        for k in range(3):
            task = 18 + 3 * (number - 6) + k
            rollout = actor.play(task, weights, other.payload(task, None))
            assert (rollout.length, rollout.frames) == (60, 120)
            other.add(rollout, weights)
        average = {name: other.state()[f"average/{name}"].copy() for name in weights}
        other.update()  # its own average has weights that are not yet sharper
        weights["units"][1] *= sharper
        average["units"][1] *= sharper
        times = number - 5
        share = (1 + 8.0) / (times + 8.0)
        for name, array in weights.items():
            average[name] += share * (array - average[name])
            other.state()[f"average/{name}"][...] = average[name]
    last = played(refined(), 9)
    for name, array in weights.items():
        assert np.array_equal(last.parameters[name], array)
        assert np.array_equal(last.state[f"average/{name}"], other.state()[f"average/{name}"])


def test_log_odds_are_multiplied_over_the_second_half() -> None:
    learner = played(refined(), 6).learner
    begins = learner.stage.first_step
    expected = {0: 1, 120: 1, 180: 2, 210: 2**1.5, 240: 4, 9999: 4}
    assert begins == 720
    assert {since: learner._sharpness(begins + since) for since in expected} == expected


def test_the_policy_plays_as_ppo_does() -> None:
    """Rollouts and whole episodes are sampled from its probabilities, no action at random."""
    stages = small(
        policy(240, sharpening=1.0), learning_starts=100, exploration_final_eps=0.5, eval_eps=0.5,
        frame_history=1,
    )  # fmt: skip
    made = played(stages, 2)
    alone = stages_of(
        "ppo", env=ENV, **{name: getattr(stages[1].settings, name) for name in (
            "hidden", "n_envs", "n_steps", "cell_size", "coarse_cells", "pixel_stride",
            "frame_history", "last_action",
        )},
    )  # fmt: skip

    def actors(chance: Chance, stage: int) -> tuple[Any, Any]:
        mine = make_plan(ENV, stages, "cython", "float64").stages[stage]
        theirs = make_plan(ENV, alone, "cython", "float64").stages[0]
        return mine.spec.actor(mine, chance), theirs.spec.actor(theirs, chance)

    mine, theirs = actors(Chance(SEED, TRAIN), 1)
    state = made.learner.payload(6, None)
    sampled = mine.play(6, made.parameters, state)
    expected = theirs.play(6, made.parameters, state)
    assert np.array_equal(sampled.actions, expected.actions)
    assert np.array_equal(sampled.logits, expected.logits)
    values = actors(Chance(SEED, TRAIN), 0)[0].play(3, made.parameters, state)
    assert not np.array_equal(values.actions, theirs.play(3, made.parameters, state).actions[:40])
    for greedy in (False, True):
        mine, theirs = actors(Chance(SEED, EVAL, greedy), 1)
        for number in (0, 6):
            assert mine.play(number, made.parameters) == theirs.play(number, made.parameters)


# --- learning -----------------------------------------------------------------------------------


def dense(replay: Replay, numbers: Any, base: int) -> Any:
    x = np.zeros((len(numbers), base))
    for row, number in zip(x, numbers, strict=True):
        mine = slice(*replay.indptr[number : number + 2])
        row[replay.indices[mine]] += replay.counts[mine]
    return x


def values(x: Any, mirror: Any, rows: Any, units: Any) -> Any:
    """Q of LEFT and RIGHT, (M, 2), written from the formula."""
    h, image = (np.maximum(part @ rows + units[0], 0) for part in (x, x[:, mirror]))
    gain, value = (h - image) @ units[1], (h + image) @ units[2]
    return np.stack([value - gain, value + gain], axis=1)


def test_a_step_goes_down_the_gradient_of_the_loss_as_it_is_written() -> None:
    """One minibatch against a dense program: targets, loss, and its central differences."""
    stages = small(replay_ratio=0.01, batch_size=40, max_grad_norm=1e9, frame_history=1,
                   learning_starts=10**6)  # fmt: skip
    made = played(stages, 3)
    parameters, state, learner = made.parameters, made.state, made.learner
    replay, tree = learner.replay, learner.spec.pyramid
    rng = np.random.default_rng(0)
    target = {name: a + 0.1 * rng.standard_normal(a.shape) for name, a in parameters.items()}
    for name, array in target.items():
        state[f"target/{name}"][...] = array
    state["steps"][0] = 1  # so that the target is not renewed first
    before = {name: array.copy() for name, array in parameters.items()}
    learner._updater.learn(replay, parameters, state, 1e-2)

    draw = np.random.default_rng(int(state["updates"][0]))
    sample = replay.sample(draw, 40, learner.settings.n_step, learner.settings.gamma)
    mirror, base, each = tree.mirror, tree.base, np.arange(40)
    now, later = (dense(replay, part, base) for part in (sample.now, sample.later))

    def loss(rows: Any, units: Any) -> float:
        best = values(later, mirror, before["rows"], before["units"]).argmax(axis=1)
        after = values(later, mirror, target["rows"], target["units"])[each, best]
        wanted = sample.rewards + sample.discount * after
        error = values(now, mirror, rows, units)[each, sample.actions] - wanted
        return float(np.mean(error**2) / 2)

    found, total = state["mean"] / (1 - 0.9), tree.rows
    places = [("units", (k, j), (total + k, j)) for k in range(3) for j in range(0, 20, 7)]
    lit = np.flatnonzero(np.abs(found[:base]).max(axis=1) > 1e-5)[::9]
    places += [("rows", (row, 3), (row, 3)) for row in lit]
    assert len(lit) > 5
    for name, place, where in places:
        sides = []
        for step in (1e-6, -1e-6):
            moved = {key: array.copy() for key, array in before.items()}
            moved[name][place] += step
            sides.append(loss(**moved))
        slope = (sides[0] - sides[1]) / 2e-6
        assert found[where] == pytest.approx(slope, rel=1e-4, abs=1e-8)


def test_nothing_is_learned_before_learning_starts() -> None:
    made = played(small(learning_starts=240), 2)
    fresh = made.learner.spec.initial_parameters(1)
    assert made.metrics.keys() == {"exploration_rate"} and not made.state["steps"][0]
    assert all(np.array_equal(made.parameters[name], fresh[name]) for name in fresh)
    assert all(np.array_equal(made.evaluated()[name], fresh[name]) for name in fresh)
    made = played(small(learning_starts=240), 3)
    assert made.state["steps"][0] == round(2 * 120 / 50) and made.metrics["learning_rate"] < 1e-2
    assert {"td_error", "value", "action_gap", "gradient_norm"} <= set(made.metrics)
    for name, average in made.evaluated().items():
        assert_close(average, made.parameters[name])


def test_the_target_is_renewed_after_so_many_steps() -> None:
    """Five steps an update: with 10 every other one begins by renewing it."""
    stages = small(learning_starts=240, target_update_interval=10)
    past = [played(stages, updates) for updates in range(2, 7)]
    assert [int(made.state["steps"][0]) for made in past] == [0, 5, 10, 15, 20]
    for updates, source in ((1, 0), (2, 0), (3, 2), (4, 2)):
        for name in ("rows", "units"):
            target = past[updates].state[f"target/{name}"]
            assert np.array_equal(target, past[source].parameters[name])
            assert not np.array_equal(target, past[updates].parameters[name])


def test_a_gradient_that_is_not_finite_ends_training_and_leaves_the_weights() -> None:
    made = played(small(), 3)
    parameters, state = made.parameters, made.state
    parameters["units"][2, 0] = np.inf
    before = {name: array.copy() for name, array in (parameters | state).items()}
    with pytest.raises(ArithmeticError, match="diverged"):
        made.learner._updater.learn(made.learner.replay, parameters, state, 1e-2)
    for name, array in (parameters | state).items():
        assert np.array_equal(array, before[name])


@pytest.mark.parametrize(
    "stages",
    [
        small(learning_rate=1e200),
        small(finer(120, learning_rate=1e200), learning_starts=240),
        small(HALF, policy(700, learning_rate=1e200), learning_starts=0),
    ],
    ids=["first", "second", "policy"],
)
def test_training_that_diverges_names_the_rate_to_lower(stages: Stages) -> None:
    with pytest.raises(ArithmeticError, match=r"learning.rate than 1e\+200"):
        played(stages, 9)


def test_a_replay_that_cannot_be_is_refused_before_it_is_used() -> None:
    half = train(small(), 3).snapshot
    half.arrays["state/replay/actions"][0, 0] = 7
    with pytest.raises(ValueError, match=r"^replay: expected what training stores"):
        train(small(), 4, state=half)


def test_a_thread_that_fails_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    stages = small(hidden=150)
    made = played(stages, 3)
    updater = QUpdater(settings_of(stages), made.learner.spec.kernels, "float64", 2)
    arguments = made.learner.replay, made.parameters, made.state, 1e-2
    assert updater.team.size == 2 and len(updater.parts) == 3
    for part in updater.parts[:2]:

        def fail(*_: Any) -> None:
            raise MemoryError("no room")

        monkeypatch.setattr(part, "_heads", fail)
        with pytest.raises(MemoryError, match="no room"):
            updater.learn(*arguments)
        monkeypatch.undo()
    updater.learn(*arguments)


def test_a_game_whose_mirror_image_is_another_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    game = dataclasses.replace(PONG, mirror_swaps_actions=False)
    monkeypatch.setitem(VARIANTS, "Other-v0", Variant("Other-v0", game, frameskip=(4,)))
    stage = make_plan("Other-v0", small(), "cython", "float64").stages[0]
    with pytest.raises(ValueError, match=r"^env: expected a game whose actions exchange"):
        stage.spec.learner(stage, stage.spec.initial_parameters(1), 1)


# --- playing ------------------------------------------------------------------------------------


def epsilons(stages: Stages, tasks: range) -> list[float]:
    plan = make_plan(ENV, stages, "cython", "float32")
    found = []
    for task in tasks:
        stage: Any = plan.at(task)
        found.append(stage.spec.actor(stage, Chance(SEED, TRAIN)).epsilon(task))
    return found


def test_fewer_and_fewer_actions_are_random() -> None:
    explores = {"exploration_steps": 400, "exploration_final_eps": 0.1}
    stages = small(n_envs=2, **explores, eval_eps=0.05)
    shares = epsilons(stages, range(14))
    np.testing.assert_allclose(shares[::2], [1, 0.82, 0.64, 0.46, 0.28, 0.1, 0.1])
    assert shares[::2] == shares[1::2]
    shares = epsilons(fine(**explores), range(0, 21, 3))  # the last stage begins at 600
    np.testing.assert_allclose(shares, [1, 0.73, 0.46, 0.19, 0.1, 0.25, 0.25])

    def step(t: int, uniform: float, fresh: bool, last: int) -> int:
        return int(uniform < 0.9)  # RIGHT is far likelier

    stage = make_plan(ENV, stages, "cython", "float32").stages[0]
    actor: Any = stage.spec.actor(stage, Chance(SEED, TRAIN))
    uniforms = np.random.default_rng(1).random(20_000).tolist()
    policies = actor.policy(step, 4), actor.policy(step, 12)
    whole_episodes = stage.spec.evaluation_policy(step, greedy=False)
    for choose, share in zip((*policies, whole_episodes), (0.64, 0.1, 0.05), strict=True):
        left = 1 - np.mean([step(0, choose.explored(u), False, 0) for u in uniforms])
        assert left == pytest.approx(share / 2, abs=0.01)
    assert step(0, whole_episodes.explored(0.5), False, 0) == 1


def test_the_metric_is_the_share_that_was_played_with() -> None:
    explores = {"exploration_steps": 400, "exploration_final_eps": 0.1}
    stages = small(n_envs=2, **explores, learning_starts=0)
    shares = epsilons(stages, range(0, 14, 2))
    assert [one.metrics["exploration_rate"] for one in rounds(stages, 6)] == shares[:6]


def test_evaluation_plays_whole_games_the_same_for_any_number_of_workers() -> None:
    stages = tuple(small(frame_history=3))
    stage = make_plan(ENV, stages, "cython", "float32").stages[0]
    parameters = stage.spec.initial_parameters(1)
    for greedy in (False, True):
        player = Player(ENV, stages, 0, "cython", "float32", SEED, greedy)
        runs = [
            list(evaluate(player, parameters, episodes=2, workers=workers)) for workers in (1, 2)
        ]
        assert runs[0] == runs[1]
        actor: Any = stage.spec.actor(stage, Chance(SEED, EVAL, greedy))
        for game in runs[0]:
            assert actor.play(game.number, parameters) == Game(game.score, game.length, game.frames)


def test_settings_are_checked() -> None:
    for bad in ({"coarse_cells": "3x3:1"}, {"cell_size": 3}, {"pixel_stride": 3},
                {"frame_history": 9}, {"n_step": 129}, {"n_step": 0}, {"eval_eps": 0.6},
                {"buffer_size": 0}, {"exploration_final_eps": 0.6}, {"exploration_steps": 0},
                {"batch_size": 0}, {"replay_ratio": 0.0}, {"target_update_interval": 0},
                {"gamma": 1.5}, {"learning_rate": 0.0}, {"cell_size": 1, "coarse_cells": ""},
                {"buffer_size": 8191}, {"buffer_size": 10**9}, {"batch_size": 10**5}):  # fmt: skip
        with pytest.raises(ValueError, match=f"^{next(iter(bad))}: expected"):
            Config.build({"agent": "dqn", **bad})
    config = Config.build({"agent": "dqn"})
    assert Config.build(config.flat()) == config


@pytest.mark.parametrize(
    ("stage", "name"),
    [
        ({"from_step": 0}, "from_step"),
        ({"from_step": 9, "frame_skip": 3}, "frame_skip"),
        ({"from_step": 9, "frame_skip": 0}, "frame_skip"),
        ({"from_step": 9, "n_step": 129}, "n_step"),
        ({"from_step": 9, "gamma": 1.1}, "gamma"),
        ({"from_step": 9, "replay_ratio": 0.0}, "replay_ratio"),
        ({"from_step": 9, "exploration_final_eps": 0.6}, "exploration_final_eps"),
        ({"from_step": 20_480, "agent": "ppo"}, "from_step"),
        ({"from_step": 30_000, "agent": "ppo", "n_steps": 0}, "n_steps"),
        ({"from_step": 30_000, "lag": 1}, "lag"),
        ({"from_step": 30_000, "agent": "ppo", "policy_temperature": 0.0}, "policy_temperature"),
        ({"from_step": 30_000, "agent": "ppo", "n_epochs": 0}, "n_epochs"),
        ({"from_step": 30_000, "agent": "ppo", "gae_lambda": 1.1}, "gae_lambda"),
        ({"from_step": 30_000, "agent": "ppo", "sharpening": 0.5}, "sharpening"),
        ({"from_step": 30_000, "agent": "ppo", "sharpening": 1001.0}, "sharpening"),
    ],
)
def test_settings_of_a_later_stage_are_checked(stage: dict[str, Any], name: str) -> None:
    with pytest.raises(ValueError, match=f"^stage 2: {name}: expected"):
        Config.build({"agent": "dqn", "env": ENV, "stages": [stage]})


def test_a_policy_may_follow_once_something_is_learned() -> None:
    for stages in ([{"from_step": 20_481, "agent": "ppo"}],
                   [finer(15_000), {"from_step": 36_865, "agent": "ppo"}]):  # fmt: skip
        Config.build({"agent": "dqn", "env": ENV, "stages": stages})
    with pytest.raises(ValueError, match=r"^stage 3: from_step: expected more than 36864"):
        stages = [finer(15_000), {"from_step": 36_864, "agent": "ppo"}]
        Config.build({"agent": "dqn", "env": ENV, "stages": stages})


def test_an_environment_whose_frame_skip_is_not_fixed_or_too_short_is_refused() -> None:
    skips = (("Pong-v0", (2,)), ("PongNoFrameskip-v4", (2,)), (ENV, (2, 1, 8)))
    for env, frames in skips:
        later = [finer(10_000 * k, skip) for k, skip in enumerate(frames, 1)]
        with pytest.raises(ValueError, match=rf"^stage \d: frame_skip: expected .*{env}"):
            Config.build({"agent": "dqn", "env": env, "stages": later})
        Config.build({"agent": "dqn", "env": env})
    for env in (ENV, "PongDeterministic-v4"):
        Config.build({"agent": "dqn", "env": env, "stages": [finer(9000), finer(99_000, 1)]})
