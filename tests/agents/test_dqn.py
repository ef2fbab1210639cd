"""The Q-learning agent over real workers and the real emulator: exact, however it is run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from itertools import count, islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastpong.agents.dqn.learner import QLearner
from tolerances import TRAINING, assert_close

from fastpong.acting.rollout import EnvState, Game
from fastpong.agents import create, make_player
from fastpong.agents.dqn.replay import Replay
from fastpong.agents.dqn.settings import Settings
from fastpong.agents.ppo import agent as ppo
from fastpong.envs.draws import EVAL, TRAIN
from fastpong.runtime.pool import Pool
from fastpong.runtime.sharedmem import SharedArrays
from fastpong.settings.config import Config
from fastpong.storage.checkpoint import Checkpoint, CheckpointError
from fastpong.training.evaluation import Player, evaluate, restore
from fastpong.training.trainer import Trainer

ENV, SEED = "ALE/Pong-v5", 5


def small(**changes: Any) -> Settings:
    given: dict[str, Any] = {
        **{"hidden": 20, "lanes": 3, "segment": 40, "minibatch": 50, "reuse": 2.0, "returns": 7},
        **{"resolution": 8, "levels": "16x16:0.35 160x8:0.2", "anneal": 500, "warmup": 200},
        **{"learning_rate": 1e-2, "replay": 500, "target": 7, "explore": 300, "max_norm": 0.05},
        **{"refine_segment": 60, "refine_anneal": 240},  # sharper in the first two of its rounds
    }
    return Settings(**{**given, **changes})


def train(
    settings: Settings, updates: int, *, backend: str = "cython", dtype: str = "float32",
    workers: int = 2, threads: int = 1, state: Any = None,
) -> Any:  # fmt: skip
    """Train for real until so many updates are made; return the last snapshot."""
    agent = create("dqn", settings, backend, dtype)
    agent.threads = threads
    weights = SharedArrays(agent.shapes, dtype, settings.lag + 1)
    arguments = ("dqn", settings, backend, dtype, ENV, SEED, TRAIN, False)
    with Pool(make_player, arguments, weights, workers=workers) as pool:
        trainer = Trainer(agent, pool, weights, seed=SEED, episodes=10**6, state=state)
        list(trainer.run(lambda: bool(trainer.counters["update"] >= updates)))
        return trainer.snapshot()


def played(settings: Settings, updates: int) -> Any:
    """Make updates in one process; return agent, parameters, state and what the last one said."""
    return next(islice(course(settings), updates - 1, None))


def course(settings: Settings) -> Iterator[Any]:
    """Make updates in one process; yield the same after each."""
    agent = create("dqn", settings, "cython", "float64")
    parameters, state = agent.initial_parameters(1), agent.initial_state()
    play = agent.player(ENV, SEED, TRAIN, False)
    lanes = [EnvState()] * settings.lanes
    for task in count():
        segment = play(task, parameters, lanes[task % settings.lanes])
        lanes[task % settings.lanes] = segment.state
        agent.add(segment, parameters, state)
        if (task + 1) % settings.lanes == 0:
            yield agent, parameters, state, agent.update(parameters, state)


def same(first: Any, second: Any) -> bool:
    assert first.arrays.keys() == second.arrays.keys()
    return all(np.array_equal(a, second.arrays[name]) for name, a in first.arrays.items())


# --- training -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lag", "fine", "refine"), [(0, "", 0), (1, "", 0), (1, "240", 0), (0, "120", 360)]
)
def test_weights_depend_on_neither_workers_nor_threads(lag: int, fine: str, refine: int) -> None:
    settings = small(lag=lag, hidden=150, fine=fine, refine=refine, warmup=100)
    one = train(settings, 5, workers=1, threads=1)
    assert one.arrays["state/steps"][0] > 0
    for workers, threads in ((2, 3), (3, 2)):
        assert same(one, train(settings, 5, workers=workers, threads=threads))


@pytest.mark.parametrize(
    ("lag", "until", "fine", "refine"),
    [
        *((0, 1, "", 0), (0, 4, "", 0), (1, 3, "", 0), (0, 2, "240", 0), (1, 3, "120 360", 0)),
        *((0, until, "120", 360) for until in (2, 3, 4)),  # round 3 is the first of the policy
    ],
)
def test_an_interrupted_run_goes_on_bit_for_bit(
    lag: int, until: int, fine: str, refine: int
) -> None:
    settings = small(lag=lag, fine=fine, refine=refine, warmup=100)
    half = train(settings, until)
    assert half.counters["update"] == until
    whole, rest = train(settings, 6), train(settings, 6, state=half)
    assert same(whole, rest)
    for name in ("task", "episode", "update", "total_steps", "total_frames", "running_mean"):
        assert whole.counters[name] == rest.counters[name]


@pytest.mark.timeout(240)
@pytest.mark.parametrize("refine", [0, 360])
def test_compiled_backends_agree_with_the_oracle(refine: int) -> None:
    settings = small(
        hidden=70, lanes=2, segment=60, learning_rate=1e-3, warmup=0, fine="240", finest_reuse=4.0,
        refine=refine, refine_segment=80, refine_minibatch=40, refine_anneal=160,
    )  # fmt: skip
    exact = train(settings, 4, backend="numpy", dtype="float64")
    # Five of the ten from fine play; or three passes over four minibatches, numbered anew.
    assert exact.arrays["state/steps"][0] == (12 if refine else 10)
    for backend in ("cython", "numba"):
        snapshot = train(settings, 4, backend=backend, dtype="float64")
        for name, array in exact.arrays.items():
            if name.startswith(("parameters/", "state/target", "state/average")):
                assert_close(snapshot.arrays[name], array, TRAINING)
            elif name.startswith(("state/lanes", "state/replay")) or name.endswith("seen"):
                assert np.array_equal(snapshot.arrays[name], array), name


def test_the_cpu_time_of_workers_that_are_gone_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """As when a signal to all ends workers and fork server while an update is being made."""
    monkeypatch.setattr(
        "fastpong.training.trainer.cpu_seconds", iter([5.0, 7.0, 1.0, 2.0, 9.0]).__next__
    )
    assert train(small(), 4).counters["cpu_seconds"] == 7.0


# --- playing finely -----------------------------------------------------------------------------

FINE = {
    **{"fine": "360 600", "fine_gamma": 0.9, "fine_returns": 3, "fine_reuse": 2.0, "warmup": 120},
    **{"finest_gamma": 0.8, "finest_reuse": 4.0, "finest_exploration": 0.25},
}
"""Of ``small`` the rounds 0 to 2 are played for 4 frames, 3 and 4 for 2, and then for 1."""


def test_frames_are_halved_after_so_many_decisions() -> None:
    settings = small(**FINE, history=1)
    agent = create("dqn", settings, "cython", "float64")
    parameters, state = agent.initial_parameters(1), agent.initial_state()
    assert state["lanes/screens"].shape[1] == 9  # those of three channels and three between each
    play = agent.player(ENV, SEED, TRAIN, False)
    lane, expected = EnvState(), [4, 4, 4, 2, 2, 1, 1, 1]
    for number, frames in enumerate(expected):
        segment = play(3 * number, parameters, lane)
        lane = segment.state
        assert (
            segment.frames == 40 * frames or not number
        )  # a game begins with some of doing nothing
    game = play(0, parameters)
    assert 0 <= game.frames - game.length <= settings.noops


def test_whole_games_are_played_as_at_that_stage() -> None:
    settings = small(**FINE)
    agent = create("dqn", settings, "cython", "float64")
    state = agent.initial_state()
    for updates, fine, frames in ((2, "", 4), (3, "360", 2), (4, "360", 2), (5, "360 600", 1)):
        state["updates"][0] = updates
        settled = agent.settled(state)
        assert settled.fine == fine
        play = create("dqn", settled, "cython", "float64").player(ENV, SEED, EVAL, True)
        game = play(0, agent.initial_parameters(1))
        assert 0 <= game.frames - frames * game.length <= settings.noops


def test_a_checkpoint_is_evaluated_as_it_was_played_then(tmp_path: Path) -> None:
    config = Config.build({"agent": "dqn", "env": ENV, **asdict(small(**FINE))})
    for updates, fine in ((2, ""), (4, "360"), (6, "360 600")):
        _, parameters, state, _ = played(small(**FINE), updates)
        arrays = {f"parameters/0/{name}": array for name, array in parameters.items()}
        arrays |= {f"state/{name}": array for name, array in state.items()}
        found = Checkpoint(tmp_path / "it.json", {"config": config.flat()}, arrays)
        assert restore(found, "cython")[0].hyper == small(**{**FINE, "fine": fine})
        for env in ("PongNoFrameskip-v4", "Pong-v0"):
            if fine:
                with pytest.raises(CheckpointError, match=rf"it\.json: fine: expected .*{env}"):
                    restore(found, "cython", env=env)
            else:
                assert restore(found, "cython", env=env)[0].env == env


def test_averages_begin_with_learning() -> None:
    """Where play becomes finer before anything has been learned, too."""
    for fine, first in (("", 3), ("360", 3), ("240", 5), ("120 240", 5), ("1", 4), ("200 360", 6)):
        settings = small(fine=fine, warmup=240)
        for _, _, state, said in islice(rounds := course(settings), first - 1):
            assert not said and not state["steps"][0]
        agent, parameters, state, said = next(rounds)
        assert said
        for name, average in agent.final_parameters(parameters, state).items():
            assert_close(average, parameters[name])


def test_fine_play_compares_screens_over_the_same_time() -> None:
    settings = small(**FINE, history=1, exploration=0.0, explore=1)
    agent: Any = create("dqn", settings, "cython", "float64")
    parameters = agent.initial_parameters(1)
    play = agent.player("PongDeterministic-v4", SEED, TRAIN, False)
    lane, places = play(0, parameters, EnvState()).state, agent.pyramid.side**2
    for number, apart in ((9, 2), (15, 4)):
        segment = play(number, parameters, lane)
        lane, seen = segment.state, np.zeros((41, agent.pyramid.base))
        for t in range(41):
            mine = slice(*segment.indptr[t : t + 2])
            seen[t, segment.indices[mine]] = segment.counts[mine]
        frame, difference, earlier = (seen[:, k * places : (k + 1) * places] for k in range(3))
        since = 2 * apart  # before that screens of the coarser segment are compared
        assert np.array_equal(difference[since:], frame[since:] - frame[since - apart : -apart])
        assert np.array_equal(earlier[since:], difference[since - apart : -apart])
        assert np.any(frame[1:] != frame[:-1], axis=1).sum() > 10


def test_what_was_played_otherwise_is_forgotten() -> None:
    """And nothing learned until there is as much again as at the beginning."""
    kept, steps = [], []
    for _, _, state, said in islice(course(small(**FINE)), 9):
        kept.append(Replay(state, 3, 40).decisions)
        steps.append(int(state["steps"][0]))
        assert bool(said) == bool(kept[-1])
    assert kept == [0, 120, 240, 0, 120, 0, 120, 240, 360]
    # reuse: 2 for 4 frames; 2 / 2 for 2 frames, 4 / 4 for one
    assert np.diff(steps).tolist() == [5, 5, 0, 2, 0, 2, 2, 2]


def test_the_rate_falls_and_once_more_where_play_is_finest() -> None:
    """Rounds are 120 decisions long: the finest begins at 600, the round after 500."""
    falls = {"learning_rate": 0.5, "final_rate": 0.1, "anneal": 400}
    again = {"finest_learning_rate": 0.2, "finest_anneal": 300}
    agent: Any = create("dqn", small(**falls, **again, fine="240 500"), "cython", "f8")
    plain: Any = create("dqn", small(**falls, **again), "cython", "f8")
    before = ((0, 0.5), (200, 0.275), (400, 0.05), (599, 0.05))
    for decisions, rate in (*before, (600, 0.2), (750, 0.11), (900, 0.02), (9999, 0.02)):
        assert agent.learning_rate(decisions) == pytest.approx(rate)
        assert plain.learning_rate(decisions) == pytest.approx(rate if decisions < 600 else 0.05)
    rounds = course(small(**FINE, **falls, **again))
    said = {
        n * 120: report.get("learning_rate") for n, (*_, report) in enumerate(islice(rounds, 8))
    }
    assert said == {0: None, 120: pytest.approx(0.365), 240: pytest.approx(0.23), 360: None,
                    480: pytest.approx(0.05), 600: None, 720: pytest.approx(0.128),
                    840: pytest.approx(0.056)}  # fmt: skip


@pytest.mark.parametrize(
    ("fine", "halvings", "kind"),
    [("360 600", 1, "fine"), ("360 600", 2, "finest"), ("360", 1, "finest")],
)
def test_a_discount_and_returns_are_for_the_same_time(fine: str, halvings: int, kind: str) -> None:
    _, parameters, state, _ = played(small(**FINE), 9)

    def learn(halvings: int, **changes: Any) -> Any:
        agent: Any = create("dqn", small(**{**FINE, "fine": fine, **changes}), "cython", "float64")
        mine = {key: array.copy() for key, array in (parameters | state).items()}
        agent.learner.learn(Replay(mine, 3, 40), mine, mine, 1e-2, halvings)
        return mine["rows"]

    found, parts = learn(halvings), 2**halvings
    gamma, reuse = f"{kind}_gamma", f"{kind}_reuse"
    plain = {"gamma": FINE[gamma] ** (1 / parts), "returns": 3 * parts}
    plain["reuse"] = FINE[reuse] / parts
    assert np.array_equal(found, learn(0, **plain))
    for changed, value in ((gamma, 0.5), ("fine_returns", 1), (reuse, 20.0)):
        assert not np.array_equal(found, learn(halvings, **{changed: value}))


REFINED = {
    **{
        **FINE,
        "fine": "360",
        "refine": 700,
        "finest_gamma": 0.9,
        "refine_lambda": 0.8,
        "refine_temperature": 0.5,
    },
    **{"refine_learning_rate": 0.02, "final_rate": 0.5, "refine_anneal": 240},
    "refine_sharpening": 4.0,
    **{"refine_epochs": 2, "refine_minibatch": 30, "refine_entropy": 0.1, "warmup": 0},
    "finest_exploration": 0.0,
}
"""Of ``small`` the rounds from 3 on are played for two frames, from 6 on for the policy."""


def test_the_policy_begins_with_the_averages() -> None:
    plain, _, values, _ = played(small(**{**REFINED, "refine": 0}), 6)
    rounds = course(small(**REFINED))
    agent, parameters, state, said = next(islice(rounds, 5, None))
    assert "td_error" in said  # of the round that was played for values
    expected = {name: values[f"average/{name}"].copy() for name in plain.shapes}
    expected["units"][1] /= 0.5
    for name, weights in agent.final_parameters(parameters, state).items():
        assert np.array_equal(weights, expected[name])
        assert np.array_equal(parameters[name], expected[name])
        assert np.array_equal(state[f"average/{name}"], expected[name])
    assert not any(state[name].any() for name in ("mean", "square", "steps"))
    _, parameters, state, said = next(rounds)
    assert "policy_loss" in said and state["steps"][0] == 12
    for name, weights in parameters.items():  # after the first update they are the average anew
        assert not np.array_equal(weights, expected[name])
        assert_close(state[f"average/{name}"], weights)


def test_the_policy_is_learned_as_the_actor_critic_agent_does() -> None:
    """Weights of three rounds, against that agent with settings written down here."""
    settings = small(**REFINED)
    rounds = course(settings)
    agent, parameters, state, _ = next(islice(rounds, 5, None))
    other = create("ppo", ppo.Settings(
        hidden=20, lanes=3, segment=60, resolution=8, levels=settings.levels, stride=1, history=2,
        last_action=True, learning_rate=0.02, final_rate=0.5, anneal=240, gamma=0.9**0.5,
        gae_lambda=0.8**0.5, epochs=2, minibatch=30, entropy=0.1,
    ), "cython", "float64")  # fmt: skip
    weights = {name: a.copy() for name, a in parameters.items()}
    theirs = other.initial_state()
    for name in ("seen", *(f"average/{name}" for name in weights)):
        theirs[name][...] = state[name]
    theirs["updates"][0] = state["updates"][0]
    play = agent.player(ENV, SEED, TRAIN, False)
    lanes = [agent.payload(18 + k, None, state) for k in range(3)]
    rates = []
    # Log odds times 4 over decisions 120 to 240 of the policy's: after 180 and 360 by the root, 4.
    for number, sharper in ((6, 2.0), (7, 2.0), (8, 1.0)):
        for k in range(3):
            segment = play(3 * number + k, weights, lanes[k])
            assert (segment.length, segment.frames) == (60, 120)
            lanes[k] = segment.state
            other._segments.append(segment)
        batch = ppo.Batch.of(other._segments, other.hyper, other.kernels, other.dtype)
        other._segments.clear()
        theirs["updates"][0] += 1
        done = min(1.0, (number - 6) * 180 / 240)
        rates.append(other.learner.learn(batch, weights, theirs, done)["learning_rate"])
        _, parameters, state, said = next(rounds)
        assert said["learning_rate"] == rates[-1]
        weights["units"][1] *= sharper
        theirs["average/units"][1] *= sharper
        other.average(weights, theirs, number - 5)
        for name, array in weights.items():
            assert np.array_equal(parameters[name], array)
            assert np.array_equal(state[f"average/{name}"], theirs[f"average/{name}"])
    assert rates == [0.02, 0.0125, 0.01]


def test_log_odds_are_multiplied_over_the_second_half() -> None:
    settings = small(refine_anneal=240, refine_sharpening=4.0)
    expected = {0: 1, 120: 1, 180: 2, 210: 2**1.5, 240: 4, 9999: 4}
    assert {since: settings.sharpness(since) for since in expected} == expected


def test_the_policy_plays_as_the_actor_critic_agent_does() -> None:
    """Segments and whole games are drawn from its probabilities, nothing blindly."""
    settings = small(refine=240, warmup=100, exploration=0.5, evaluation_exploration=0.5, history=1)
    seen = {f: getattr(settings, f) for f in ("hidden", "lanes", "resolution", "levels")}
    other = create("ppo", ppo.Settings(**seen, segment=60, stride=1, history=1, last_action=True),
                   "cython", "float64")  # fmt: skip
    agent, parameters, state, _ = played(settings, 2)
    lane = agent.payload(6, None, state)
    mine, theirs = (one.player(ENV, SEED, TRAIN, False) for one in (agent, other))
    drawn, expected = mine(6, parameters, lane), theirs(6, parameters, lane)
    assert np.array_equal(drawn.actions, expected.actions)
    assert np.array_equal(drawn.logits, expected.logits)
    assert not np.array_equal(
        mine(3, parameters, lane).actions, theirs(3, parameters, lane).actions
    )
    for greedy in (False, True):
        mine, theirs = (one.player(ENV, SEED, EVAL, greedy) for one in (agent, other))
        for number in (0, 6):
            assert mine(number, parameters) == theirs(number, parameters)


def test_a_checkpoint_tells_whether_the_policy_plays(tmp_path: Path) -> None:
    settings = small(**REFINED)
    config = Config.build({"agent": "dqn", "env": ENV, **asdict(settings)})
    for updates, refine in ((5, 0), (6, 700), (7, 700)):
        _, parameters, state, _ = played(settings, updates)
        arrays = {f"parameters/0/{name}": array for name, array in parameters.items()}
        arrays |= {f"state/{name}": array for name, array in state.items()}
        found = Checkpoint(tmp_path / "it.json", {"config": config.flat()}, arrays)
        player, averages = restore(found, "cython")
        assert player.hyper == small(**{**REFINED, "refine": refine})
        assert np.array_equal(averages["units"], state["average/units"])


def test_an_environment_whose_frames_cannot_be_halved_is_refused() -> None:
    for env, fine in (("Pong-v0", "9"), ("PongNoFrameskip-v4", "9"), ("ALE/Pong-v5", "9 10 11")):
        with pytest.raises(ValueError, match=f"^fine: expected an environment .*, got {env}, "):
            Config.build({"agent": "dqn", "fine": fine, "env": env})
        Config.build({"agent": "dqn", "env": env})
    for env in ("ALE/Pong-v5", "PongDeterministic-v4"):
        Config.build({"agent": "dqn", "fine": "9 10", "env": env})


# --- learning -----------------------------------------------------------------------------------


def dense(replay: Replay, numbers: Any, base: int) -> Any:
    x = np.zeros((len(numbers), base))
    for row, number in zip(x, numbers, strict=True):
        mine = slice(*replay.indptr[number : number + 2])
        row[replay.indices[mine]] += replay.values[mine]
    return x


def values(x: Any, mirror: Any, rows: Any, units: Any) -> Any:
    """Q of LEFT and RIGHT, (M, 2), written from the formula."""
    h, image = (np.maximum(part @ rows + units[0], 0) for part in (x, x[:, mirror]))
    gain, value = (h - image) @ units[1], (h + image) @ units[2]
    return np.stack([value - gain, value + gain], axis=1)


def test_a_step_goes_down_the_gradient_of_the_loss_as_it_is_written() -> None:
    """One minibatch against a dense program: targets, loss, and its central differences."""
    settings = small(reuse=0.01, minibatch=40, max_norm=1e9, history=1, warmup=10**6)
    agent, parameters, state, _ = played(settings, 3)
    replay = Replay(state, settings.lanes, settings.segment)
    rng = np.random.default_rng(0)
    target = {name: a + 0.1 * rng.standard_normal(a.shape) for name, a in parameters.items()}
    for name, array in target.items():
        state[f"target/{name}"][...] = array
    state["steps"][0] = 1  # so that the target is not renewed first
    before = {name: array.copy() for name, array in parameters.items()}
    agent.learner.learn(replay, parameters, state, agent.hyper.learning_rate)

    draw = np.random.default_rng(int(state["updates"][0]))
    sample = replay.draw(draw, 40, settings.returns, settings.gamma)
    mirror, base, each = agent.pyramid.mirror, agent.pyramid.base, np.arange(40)
    now, later = (dense(replay, part, base) for part in (sample.now, sample.later))

    def loss(rows: Any, units: Any) -> float:
        best = values(later, mirror, before["rows"], before["units"]).argmax(axis=1)
        after = values(later, mirror, target["rows"], target["units"])[each, best]
        wanted = sample.rewards + sample.discount * after
        error = values(now, mirror, rows, units)[each, sample.actions] - wanted
        return float(np.mean(error**2) / 2)

    found, total = state["mean"] / (1 - settings.beta1), agent.pyramid.rows
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


def test_nothing_is_learned_before_the_warm_up() -> None:
    agent, parameters, state, said = played(small(warmup=240), 2)
    fresh = agent.initial_parameters(1)
    assert not said and not state["steps"][0]
    assert all(np.array_equal(parameters[name], fresh[name]) for name in fresh)
    assert agent.final_parameters(parameters, state) is parameters
    agent, parameters, state, said = played(small(warmup=240), 3)
    assert state["steps"][0] == round(2 * 120 / 50) and said["learning_rate"] < 1e-2
    assert {"td_error", "value", "action_gap", "gradient_norm"} <= set(said)
    for name, average in agent.final_parameters(parameters, state).items():
        assert_close(average, parameters[name])


def test_the_target_is_renewed_after_so_many_steps() -> None:
    """Five steps an update: with 10 every other one begins by renewing it."""
    past = [played(small(warmup=240, target=10), updates) for updates in range(2, 7)]
    assert [int(state["steps"][0]) for _, _, state, _ in past] == [0, 5, 10, 15, 20]
    for updates, source in ((1, 0), (2, 0), (3, 2), (4, 2)):
        for name in ("rows", "units"):
            target = past[updates][2][f"target/{name}"]
            assert np.array_equal(target, past[source][1][name])
            assert not np.array_equal(target, past[updates][1][name])


def test_a_gradient_that_is_not_finite_ends_training_and_leaves_the_weights() -> None:
    agent, parameters, state, _ = played(small(), 3)
    parameters["units"][2, 0] = np.inf
    before = {name: array.copy() for name, array in (parameters | state).items()}
    replay = Replay(state, 3, 40)
    with pytest.raises(ArithmeticError, match="diverged"):
        agent.learner.learn(replay, parameters, state, agent.hyper.learning_rate)
    for name, array in (parameters | state).items():
        assert np.array_equal(array, before[name])


def test_training_that_diverges_names_the_rate_to_lower() -> None:
    for settings, name in (
        (small(learning_rate=1e200), "--learning-rate"),
        (small(fine="120", warmup=240, finest_learning_rate=1e200), "--finest-learning-rate"),
        (small(**{**REFINED, "refine_learning_rate": 1e200}), "--refine-learning-rate"),
    ):
        with pytest.raises(ArithmeticError, match=rf"smaller {name} than 1e\+200,"):
            played(settings, 9)


def test_a_replay_that_cannot_be_is_refused_before_it_is_used() -> None:
    half = train(small(), 3)
    half.arrays["state/replay/actions"][0, 0] = 7
    with pytest.raises(ValueError, match=r"^replay: expected what training keeps"):
        train(small(), 4, state=half)


def test_a_thread_that_fails_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    agent, parameters, state, _ = played(small(hidden=150), 3)
    learner = QLearner(agent.hyper, agent.kernels, "float64", 2)
    assert learner.team.size == 2 and len(learner.parts) == 3
    for part in learner.parts[:2]:

        def fail(*_: Any) -> None:
            raise MemoryError("no room")

        monkeypatch.setattr(part, "_heads", fail)
        with pytest.raises(MemoryError, match="no room"):
            learner.learn(Replay(state, 3, 40), parameters, state, 1e-2)
        monkeypatch.undo()
    learner.learn(Replay(state, 3, 40), parameters, state, 1e-2)


# --- playing ------------------------------------------------------------------------------------


def test_some_actions_are_drawn_blindly_fewer_and_fewer() -> None:
    settings = small(lanes=2, explore=400, exploration=0.1, evaluation_exploration=0.05)
    agent = create("dqn", settings, "cython", "float32")
    shares = [agent.exploration(task) for task in range(14)]  # type: ignore[attr-defined]
    np.testing.assert_allclose(shares[::2], [1, 0.82, 0.64, 0.46, 0.28, 0.1, 0.1])
    assert shares[::2] == shares[1::2]
    fine: Any = create("dqn", small(**FINE, explore=400, exploration=0.1), "cython", "float32")
    shares = [fine.exploration(3 * number) for number in range(7)]  # the finest begins at 600
    np.testing.assert_allclose(shares, [1, 0.73, 0.46, 0.19, 0.1, 0.25, 0.25])

    def step(t: int, uniform: float, fresh: bool, last: int) -> int:
        return int(uniform < 0.9)  # RIGHT is far likelier

    uniforms = np.random.default_rng(1).random(20_000).tolist()
    for task, whole, share in ((4, False, 0.64), (12, False, 0.1), (0, True, 0.05)):
        choose = agent.chooser(step, task, whole)  # type: ignore[attr-defined]
        left = 1 - np.mean([choose(0, u, False, 0) for u in uniforms])
        assert left == pytest.approx(share / 2, abs=0.01)
    assert agent.chooser(step, 0, True)(0, 0.5, False, 0) == 1  # type: ignore[attr-defined]


def test_evaluation_plays_whole_games_the_same_for_any_number_of_workers() -> None:
    settings = small(history=3)
    parameters = create("dqn", settings, "cython", "float32").initial_parameters(1)
    for greedy in (False, True):
        player = Player("dqn", settings, "cython", "float32", ENV, SEED, greedy)
        runs = [
            list(evaluate(player, parameters, episodes=2, workers=workers)) for workers in (1, 2)
        ]
        assert runs[0] == runs[1]
        play = create("dqn", settings, "cython", "float32").player(ENV, SEED, EVAL, greedy)
        for game in runs[0]:
            assert play(game.number, parameters) == Game(game.score, game.length, game.frames)


def test_settings_are_checked() -> None:
    for bad in ({"levels": "3x3:1"}, {"resolution": 3}, {"stride": 3}, {"history": 9},
                {"returns": 129}, {"returns": 0}, {"fine": "0"}, {"fine": "5 5"},
                {"fine": "later"}, {"fine_returns": 65, "fine": "9"},
                {"finest_gamma": 1.1}, {"finest_reuse": 0.0}, {"finest_learning_rate": 0.0},
                {"finest_anneal": 0}, {"finest_exploration": 0.6},
                {"refine": -1}, {"refine": 29999, "fine": "30000"}, {"refine": 20_480},
                {"refine": 36_864, "fine": "15000"}, {"refine_segment": 0},
                {"refine": 30000, "lag": 1},
                {"refine_temperature": 0.0}, {"refine_epochs": 0}, {"refine_lambda": 1.1},
                {"refine_sharpening": 0.5}, {"refine_sharpening": 1001.0},
                {"evaluation_exploration": 0.6}, {"replay": 0}, {"exploration": 0.6},
                {"minibatch": 0}, {"reuse": 0.0}, {"target": 0}, {"gamma": 1.5},
                {"resolution": 1, "levels": ""}, {"replay": 8191},
                {"replay": 10**9}, {"minibatch": 10**5}):  # fmt: skip
        with pytest.raises(ValueError, match=f"^{next(iter(bad))}: expected"):
            Config.build({"agent": "dqn", **bad})
    for good in ({"refine": 30000, "fine": "30000"}, {"refine": 20_481},
                 {"refine": 36_865, "fine": "15000"}):  # fmt: skip
        Config.build({"agent": "dqn", "env": ENV, **good})
    config = Config.build({"agent": "dqn"})
    assert Config.build(config.flat()) == config
