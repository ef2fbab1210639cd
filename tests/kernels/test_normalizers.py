"""Normalizers against the wrappers that they stand for: gymnasium's and Stable-Baselines3's."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.wrappers import NormalizeObservation, NormalizeReward
from gymnasium.wrappers.utils import RunningMeanStd as TheirMeanStd
from kernel_cases import ALL_BACKENDS
from tolerances import NORMALIZED, NORMALIZED_FLOAT32, assert_close, assert_same

from fastpong import kernels
from fastpong.kernels import ObservationNormalizer, RewardNormalizer, RunningMeanStd

pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture(scope="module", params=ALL_BACKENDS)
def backend(request: pytest.FixtureRequest) -> Any:
    return kernels.get_backend(request.param)


class Noise(gymnasium.Env[Any, Any]):
    """Observations around 50 and rewards around 1, episodes of some 20 steps."""

    def __init__(self, seed: int = 1) -> None:
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (3,), np.float64)
        self.action_space = gymnasium.spaces.Discrete(2)
        self.rng = np.random.default_rng(seed)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        return self.rng.normal(50, 2, 3), {}

    def step(self, action: Any) -> Any:
        ended, cut = (bool(end) for end in self.rng.random(2) < 0.03)
        return self.rng.normal(50, 2, 3), float(self.rng.normal(1, 5)), ended, cut, {}


def play(env: Any, steps: int = 300) -> Any:
    """Yield the first observation, then what each step gives; an episode's end is followed."""
    observation, _ = env.reset(seed=3)
    yield observation, 0.0, False, False
    for _ in range(steps):
        observation, reward, terminated, truncated, _ = env.step(0)
        yield observation, reward, terminated, truncated
        if terminated or truncated:
            observation, _ = env.reset()
            yield observation, 0.0, False, False


# --- gymnasium ----------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(), (4,), (2, 3)])
def test_moments_are_gymnasiums(backend: Any, dtype: Any, shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(2)
    mine, theirs = RunningMeanStd(shape, backend=backend), TheirMeanStd(shape=shape)
    for size in (1, 5, 3, 100):
        batch = rng.normal(10, 2, (size, *shape)).astype(dtype)
        mine.update(batch)
        theirs.update(batch.astype(np.float64))
    assert_close(mine.mean, theirs.mean)
    assert_close(mine.var, theirs.var)
    assert mine.count == theirs.count


def test_observations_are_gymnasiums(backend: Any) -> None:
    mine = ObservationNormalizer((3,), clip=None, backend=backend)
    wrapped = NormalizeObservation(Noise())
    for (raw, *_), (want, *_) in zip(play(Noise()), play(wrapped), strict=True):
        got = mine(raw)
        assert got.dtype == want.dtype
        assert_close(got, want, NORMALIZED)
    mine.training = wrapped.update_running_mean = False
    for raw, *_ in play(Noise(2), 5):
        assert_close(mine(raw), wrapped.observation(raw), NORMALIZED)
        assert_same(mine(raw), mine.normalize(raw))


def test_observations_of_a_game_are_gymnasiums(backend: Any) -> None:
    """Whose statistics are of the observations' dtype, float32 here."""
    mine = ObservationNormalizer((4,), clip=None, backend=backend)
    games = (gymnasium.make("CartPole-v1"), NormalizeObservation(gymnasium.make("CartPole-v1")))
    for (raw, *_), (want, *_) in zip(play(games[0]), play(games[1]), strict=True):
        assert_close(mine(raw), want, NORMALIZED_FLOAT32)


def test_rewards_are_gymnasiums(backend: Any) -> None:
    mine = RewardNormalizer(gamma=0.9, clip=None, compat="gymnasium", backend=backend)
    wrapped = NormalizeReward(Noise(), gamma=0.9)
    for k, (raw, played) in enumerate(zip(play(Noise()), play(wrapped), strict=True)):
        if k and raw[1]:  # no reset
            got = mine(raw[1], raw[2])
            assert got.dtype == np.float32 and got.shape == ()
            assert_close(got, np.float32(played[1]), NORMALIZED)
        mine.training = wrapped.update_running_mean = k % 8 < 4  # of the next step


# --- Stable-Baselines3 --------------------------------------------------------------------------


def test_both_are_stable_baselines3s(backend: Any) -> None:
    vec_env = pytest.importorskip("stable_baselines3.common.vec_env")
    raw, inner = (
        vec_env.DummyVecEnv([lambda seed=seed: Noise(seed) for seed in (1, 2, 3)]) for _ in range(2)
    )
    wrapped = vec_env.VecNormalize(inner, gamma=0.95, clip_obs=1.0, clip_reward=0.3)
    observe = ObservationNormalizer((3,), clip=1.0, backend=backend)
    reward = RewardNormalizer(3, gamma=0.95, clip=0.3, backend=backend)
    assert_close(observe(raw.reset()), wrapped.reset(), NORMALIZED)
    for k in range(300):
        wrapped.training = observe.training = reward.training = k % 50 > 5
        seen, rewards, dones, _ = raw.step(np.zeros(3, int))
        want_seen, want_rewards, _, _ = wrapped.step(np.zeros(3, int))
        assert_close(observe(seen), want_seen, NORMALIZED)
        got = reward(rewards, dones)
        assert got.dtype == want_rewards.dtype
        assert_close(got, want_rewards, NORMALIZED)
    assert_close(reward.statistics.var, wrapped.ret_rms.var)


# --- by themselves ------------------------------------------------------------------------------


def test_rewards_as_a_batch_begin_anew_after_an_end(backend: Any) -> None:
    normalizer = RewardNormalizer(2, gamma=0.5, backend=backend)
    for rewards, dones, want in (
        ([1, 2], [False, True], [1, 2]),
        ([1, 2], [False, False], [1.5, 2]),
        ([0, 0], [0, 0], [0.75, 1]),
    ):
        normalizer(np.array(rewards), np.array(dones))
        assert normalizer.returns.tolist() == want
    normalizer.reset()
    assert not normalizer.returns.any() and normalizer.statistics.count == 6 + 1e-4


def test_gymnasiums_end_stands_before_its_reward(backend: Any) -> None:
    normalizer = RewardNormalizer(2, gamma=0.5, compat="gymnasium", backend=backend)
    for dones, want in (([0, 0], [1, 1]), ([0, 1], [1.5, 1]), ([0, 0], [1.75, 1.5])):
        normalizer(np.ones(2), np.array(dones))
        assert normalizer.returns.tolist() == want


def test_integers_are_observations_too(backend: Any) -> None:
    screens = np.random.default_rng(1).integers(0, 256, (4, 5, 6), np.uint8)
    got = ObservationNormalizer((5, 6), backend=backend)(screens)
    want = ObservationNormalizer((5, 6), backend=backend)(screens.astype(np.float32))
    assert_same(got, want)
    assert_same(RunningMeanStd(backend=backend).state_dict()["mean"], np.zeros(()))


def test_an_observation_is_not_overwritten(backend: Any) -> None:
    for dtype in (np.float32, np.float64):
        observations = np.ones((2, 3), dtype)
        ObservationNormalizer((3,), backend=backend)(observations)
        assert_same(observations, np.ones((2, 3), dtype))


@pytest.mark.parametrize("kind", ["observations", "rewards"])
def test_a_restored_normalizer_goes_on(backend: Any, kind: str) -> None:
    def make() -> Any:
        if kind == "rewards":
            return RewardNormalizer(3, backend=backend)
        return ObservationNormalizer((3,), backend=backend)

    def feed(normalizer: Any, seed: int) -> Any:
        rng = np.random.default_rng(seed)
        ends = (rng.random(3) < 0.5,) if kind == "rewards" else ()
        return normalizer(rng.normal(size=3), *ends)

    first, second = make(), make()
    for seed in range(5):
        feed(first, seed)
    saved = first.state_dict()
    feed(first, 9)  # the copy does not follow
    first.load_state_dict(saved)
    second.load_state_dict(saved)
    assert_same(feed(first, 10), feed(second, 10))
    copied = pickle.loads(pickle.dumps(copy.deepcopy(first)))
    assert_same(feed(first, 11), feed(second, 11))
    feed(copied, 11)
    for other in (second, copied):
        for name, array in first.state_dict().items():
            assert_same(array, other.state_dict()[name])


def test_tensors_are_observations_too(backend: Any) -> None:
    torch = pytest.importorskip("torch")
    tensor = torch.ones(2, 3)
    assert_same(
        ObservationNormalizer((3,), backend=backend)(tensor),
        ObservationNormalizer((3,), backend=backend)(tensor.numpy()),
    )
    with pytest.raises(TypeError, match=r"^observations: .*requires grad"):
        ObservationNormalizer((3,), backend=backend)(tensor.requires_grad_())


def test_observations_of_any_layout(backend: Any, dtype: Any) -> None:
    rows = np.random.default_rng(1).normal(size=(6, 4)).astype(dtype)
    want = ObservationNormalizer((4,), backend=backend)(rows)
    for same in (np.asfortranarray(rows), np.repeat(rows, 2, axis=1)[:, ::2], rows.tolist()):
        got = ObservationNormalizer((4,), backend=backend)(same)
        assert_close(got, want)
    swapped = rows.astype(rows.dtype.newbyteorder())
    assert_same(ObservationNormalizer((4,), backend=backend)(swapped), want)


def test_a_wrong_state_is_refused_as_a_whole() -> None:
    normalizer = RewardNormalizer(2)
    good = normalizer.state_dict()
    for name, value in (
        *(("returns", np.ones(3)), ("mean", "high"), ("mean", np.nan), ("var", -1.0)),
        *(("count", [-1.0]), ("episode_starts", np.ones((2, 1)))),
    ):
        with pytest.raises(ValueError, match=f"^{name}"):
            normalizer.load_state_dict(good | {"returns": np.full(2, 5.0)} | {name: value})
        assert not normalizer.returns.any()
    for state in ({}, {**good, "more": 1}):
        with pytest.raises(ValueError, match=r"^state"):
            normalizer.load_state_dict(state)


def test_bad_arguments_are_named() -> None:
    for make, name in (
        (lambda: RunningMeanStd([3]), "shape"),
        (lambda: RunningMeanStd((0,)), "shape"),
        (lambda: RunningMeanStd((), 0.0), "epsilon"),
        (lambda: ObservationNormalizer((3,), epsilon=0), "epsilon"),
        (lambda: ObservationNormalizer((3,), clip=-1), "clip"),
        (lambda: RewardNormalizer(0), "n_envs"),
        (lambda: RewardNormalizer(gamma=np.nan), "gamma"),
        (lambda: RewardNormalizer(compat="torch"), "compat"),
        (lambda: RunningMeanStd((3,)).update(np.zeros(3)), "batch"),
        (lambda: RunningMeanStd(()).update(np.zeros(())), "batch"),
        (lambda: RunningMeanStd((3,)).update(np.zeros((2, 4))), "batch"),
        (lambda: RunningMeanStd((3,)).update(np.zeros((2, 3), complex)), "batch"),
        (lambda: ObservationNormalizer((3,))(np.zeros(4)), "observations"),
        (lambda: ObservationNormalizer((3,)).normalize(np.zeros((2, 2, 3))), "observations"),
        (lambda: ObservationNormalizer((3,)).normalize("one"), "observations"),
        (lambda: ObservationNormalizer((3,))(np.zeros(3, object)), "observations|batch"),
        (lambda: RewardNormalizer(2)(np.zeros(3), np.zeros(2)), "rewards"),
        (lambda: RewardNormalizer(2)(np.zeros(2), np.zeros(3)), "dones"),
        (lambda: RewardNormalizer(2)(1.0, False), "rewards"),
        (lambda: RewardNormalizer(2)(np.zeros(2), ["no", "yes"]), "dones"),
        (lambda: RewardNormalizer(2)([[1], [2, 3]], [0, 0]), "rewards"),
        (lambda: RewardNormalizer(2)(np.zeros(2, complex), np.zeros(2)), "rewards"),
    ):
        with pytest.raises((TypeError, ValueError), match=f"^({name})"):
            make()
