"""Numbers of every kind in the place of every number: taken as such, or refused by its name."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import fuzz_kernels
import numpy as np
import pytest
from fuzz_kernels import check_refusal
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import from_dtype
from kernel_cases import CASES, declaration, kernel_case
from odd_values import FLOATS, INTEGERS, VALUES, plain
from tolerances import assert_same

from fastpong import kernels
from fastpong.kernels import checks
from fastpong.kernels.arguments import Number
from fastpong.kernels.bundles import PpoCoefficients
from fastpong.kernels.numbers import Size

LARGE = 512
"""Above it a size that is allowed only takes time."""

SCALARS = [
    (name, item.name)
    for name in CASES
    for item in declaration(name).flat()
    if item.name in kernel_case(name, "f8").scalars and not isinstance(item, Size)
]
SIZES = [
    (name, item.name)
    for name in CASES
    for item in declaration(name).flat()
    if isinstance(item, Size)
]


@pytest.fixture(scope="module", params=["cython", "numpy"])
def backend(request: pytest.FixtureRequest) -> Any:
    """Checks are of two kinds, compiled and in Python, the same for Numba and the oracle."""
    return kernels.get_backend(request.param)


def call(backend: Any, name: str, key: str, value: Any) -> Callable[[], Any]:
    case = kernel_case(name, "f8")
    case.scalars[key] = value
    return lambda: case.call(backend)


def check_value(backend: Any, name: str, key: str, value: Any) -> None:
    """Give a value. If it is taken, it counts as the number that Python has for it."""
    words = f"{name}({key}={type(value).__name__})"
    taken, got = check_refusal(call(backend, name, key, value), words)
    number = plain(value)
    if taken and number is not value:
        again, want = check_refusal(call(backend, name, key, number), words)
        assert again, words
        for one, other in zip(got, want, strict=True):
            assert_same(one, other)


@pytest.mark.parametrize("name, key", SCALARS)
def test_every_odd_value_of_every_number(backend: Any, name: str, key: str) -> None:
    for value in VALUES:
        check_value(backend, name, key, value)


NUMBERS = st.sampled_from([*INTEGERS, *FLOATS]).flatmap(
    lambda kind: from_dtype(np.dtype(kind)) if kind is not np.longdouble
    else st.floats(width=64).map(np.longdouble)
)  # fmt: skip


@given(where=st.sampled_from(SCALARS), value=NUMBERS | st.integers() | st.floats() | st.fractions())
@settings(max_examples=400)
def test_any_number_of_any_width(where: tuple[str, str], value: Any) -> None:
    check_value(kernels.get_backend("cython"), *where, value)


@pytest.mark.parametrize("name, key", SIZES)
def test_every_odd_size_of_a_picture(backend: Any, name: str, key: str) -> None:
    for value in VALUES:
        if not _is_large(value):
            for size in (value, (value, 5), (5, value)):
                check_refusal(
                    call(backend, name, key, size), f"{name}({key}={type(value).__name__})"
                )


def _is_large(value: Any) -> bool:
    whole = checks.is_whole(value)
    return whole and LARGE < int(value) < 2**40


# --- what has no declaration --------------------------------------------------------------------

SCREEN = np.zeros((210, 160), np.uint8)
TABLE = np.ones(256, np.uint8)
FRAME = np.zeros((1, 4, 4), np.uint8)


def encode_cells(**given: Any) -> Any:
    return kernels.encode_cells(SCREEN, None, TABLE, **{"cell_size": 4, **given})


@cache
def cells() -> Any:
    """Return the tests of the cells network, which have buffers and batches for it."""
    path = Path(__file__).with_name("test_cells.py")
    spec = importlib.util.spec_from_file_location("cells_cases", path)
    assert spec is not None and spec.loader is not None
    module = sys.modules["cells_cases"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def cells_step(**given: Any) -> Any:
    buffers = cells().buffers(np.dtype("f4"))
    return cells().bound(kernels.get_backend(), **{**buffers, **given})


def replay(**given: Any) -> Any:
    buffer = kernels.ReplayBuffer(**{"capacity": 12, "observation_shape": (4, 4), **given})
    buffer.add(FRAME, 0, 0.5, False, False, FRAME)
    return buffer


def filled(**given: Any) -> Any:
    buffer = replay(prioritized=kernels.Prioritized(), **given)
    for _ in range(5):
        buffer.add(FRAME, 0, 0.5, False, False, FRAME)
    return buffer


def tree() -> Any:
    made = kernels.SumTree(5)
    made.update(np.arange(5), np.ones(5))
    return made


@cache
def batch() -> Any:
    return cells().Update.of(cells().TREES["flat"], np.dtype("f8"), 5)


def ppo(**given: Any) -> Any:
    update = batch()
    coefficients = PpoCoefficients(**{k: v for k, v in given.items() if k in COEFFICIENTS})
    bound = kernels.get_backend().ppo_update(
        update.shares([0, 5]), update.relations, update.inputs, update.steps, coefficients
    )
    rest = {"step": 1, "learning_rate": 1e-3, "ent_coef": 0.01} | {
        k: v for k, v in given.items() if k not in COEFFICIENTS
    }
    return bound.run([np.arange(2)], **rest)


COEFFICIENTS = PpoCoefficients._fields
CALLS: dict[str, Callable[[Any], Any]] = {
    "encode_cells.cell_size": lambda v: encode_cells(cell_size=v),
    "encode_cells.pixel_stride": lambda v: encode_cells(pixel_stride=v),
    "encode_cells.out": lambda v: encode_cells(out=v),
    "cells_step.cell_size": lambda v: cells_step(cell_size=v),
    "cells_step.pixel_stride": lambda v: cells_step(pixel_stride=v),
    "cells_step.spread": lambda v: cells_step(spread=v),
    "clip_grad_norm.max_norm": lambda v: kernels.clip_grad_norm([np.ones(3)], v),
    "clip_grad_norm.gradients": lambda v: kernels.clip_grad_norm(v, 1.0),
    "clip_grad_norm.error_if_nonfinite": lambda v: kernels.clip_grad_norm(
        [np.full(3, np.nan)], 1.0, error_if_nonfinite=v
    ),
    "discount_rewards.reset_on_reward": lambda v: kernels.discount_rewards(
        np.ones(3), 0.9, reset_on_reward=v
    ),
    "frame_stack_push.fresh": lambda v: kernels.frame_stack_push(
        np.zeros((2, 3, 3), np.uint8), np.zeros((3, 3), np.uint8), v
    ),
    "standardize.ddof": lambda v: kernels.standardize(np.arange(3.0), ddof=v),
    "n_step_returns.n": lambda v: kernels.n_step_returns(np.ones(3), None, None, 0.0, v),
    "gae.last_value": lambda v: kernels.gae(np.ones(3), np.ones(3), None, v),
    "gae.terminated": lambda v: kernels.gae(np.ones(3), np.ones(3), v, 0.0),
    "policy_backward.accumulate": lambda v: kernels.policy_backward(
        np.ones((2, 3)), np.ones((2, 4)), np.ones(2), np.ones(4), accumulate=v
    ),
    "get_backend.name": lambda v: kernels.get_backend(v),
    "SumTree.capacity": lambda v: kernels.SumTree(v),
    "SumTree.backend": lambda v: kernels.SumTree(4, v),
    "SumTree.sample.n": lambda v: tree().sample(v, np.random.default_rng(1)),
    "SumTree.sample.rng": lambda v: tree().sample(2, v),
    "SumTree.find": lambda v: tree().find(v),
    "SumTree.get": lambda v: tree().get(v),
    "SumTree.update.indices": lambda v: tree().update(v, np.ones(1)),
    "SumTree.update.priorities": lambda v: tree().update(np.zeros(1, int), v),
    "ReplayBuffer.capacity": lambda v: replay(capacity=v),
    "ReplayBuffer.observation_shape": lambda v: replay(observation_shape=v),
    "ReplayBuffer.observation_shape[0]": lambda v: replay(observation_shape=(v, 4)),
    "ReplayBuffer.dtype": lambda v: replay(dtype=v),
    "ReplayBuffer.n_envs": lambda v: replay(n_envs=v),
    "ReplayBuffer.frame_stack": lambda v: replay(frame_stack=v),
    "ReplayBuffer.padding_type": lambda v: replay(padding_type=v),
    "ReplayBuffer.n_step": lambda v: replay(n_step=v),
    "ReplayBuffer.gamma": lambda v: replay(gamma=v),
    "ReplayBuffer.action": lambda v: replay(action=v),
    "ReplayBuffer.prioritized": lambda v: replay(prioritized=v),
    "ReplayBuffer.seed": lambda v: replay(seed=v),
    "ReplayBuffer.backend": lambda v: replay(backend=v),
    "ReplayBuffer.sample.batch_size": lambda v: filled().sample(v),
    "ReplayBuffer.sample.beta": lambda v: filled().sample(2, beta=v),
    "ReplayBuffer.sample.beta without": lambda v: replay().sample(1, beta=v),
    "ReplayBuffer.sample.out": lambda v: filled().sample(2, out=v),
    "ReplayBuffer.batch": lambda v: filled().batch(v),
    "ReplayBuffer.get": lambda v: filled().get(v),
    "ReplayBuffer.add.frames": lambda v: replay().add(v, 0, 0.5, False, False, FRAME),
    "ReplayBuffer.add.actions": lambda v: replay().add(FRAME, v, 0.5, False, False, FRAME),
    "ReplayBuffer.add.rewards": lambda v: replay().add(FRAME, 0, v, False, False, FRAME),
    "ReplayBuffer.add.terminated": lambda v: replay().add(FRAME, 0, 0.5, v, False, FRAME),
    "ReplayBuffer.add.valid": lambda v: replay().add(FRAME, 0, 0.5, False, False, FRAME, v),
    "ReplayBuffer.update_priorities": lambda v: filled().update_priorities(np.arange(1), v),
    **{
        f"Prioritized.{name}": lambda v, name=name: replay(  # type: ignore[misc]
            prioritized=kernels.Prioritized(**{name: v})
        )
        for name in kernels.Prioritized._fields
    },
    "RunningMeanStd.shape": lambda v: kernels.RunningMeanStd(v),
    "RunningMeanStd.shape[0]": lambda v: kernels.RunningMeanStd((v,)),
    "RunningMeanStd.epsilon": lambda v: kernels.RunningMeanStd((2,), v),
    "RunningMeanStd.update": lambda v: kernels.RunningMeanStd(()).update(v),
    "RunningMeanStd.load": lambda v: kernels.RunningMeanStd(()).load_state_dict(v),
    "RunningMeanStd.load.mean": lambda v: kernels.RunningMeanStd(()).load_state_dict(
        {"mean": v, "var": 1.0, "count": [2.0]}
    ),
    "ObservationNormalizer.epsilon": lambda v: kernels.ObservationNormalizer((2,), v),
    "ObservationNormalizer.clip": lambda v: kernels.ObservationNormalizer((2,), clip=v),
    "ObservationNormalizer()": lambda v: kernels.ObservationNormalizer((1,))(v),
    "RewardNormalizer.n_envs": lambda v: kernels.RewardNormalizer(v),
    "RewardNormalizer.gamma": lambda v: kernels.RewardNormalizer(1, v),
    "RewardNormalizer.epsilon": lambda v: kernels.RewardNormalizer(1, epsilon=v),
    "RewardNormalizer.clip": lambda v: kernels.RewardNormalizer(1, clip=v),
    "RewardNormalizer.compat": lambda v: kernels.RewardNormalizer(1, compat=v),
    "RewardNormalizer()": lambda v: kernels.RewardNormalizer(1)(v, False),
    "RewardNormalizer(dones)": lambda v: kernels.RewardNormalizer(1)(0.5, v),
    **{
        f"ppo_update.{name}": lambda v, name=name: ppo(**{name: v})  # type: ignore[misc]
        for name in (*COEFFICIENTS, "step", "learning_rate", "ent_coef")
    },
}  # fmt: skip
"""Every number, word and small array that functions and classes take beside the declared ones."""


@pytest.mark.parametrize("name", CALLS)
def test_every_odd_value_of_what_has_no_declaration(name: str) -> None:
    sizes = ("capacity", "shape", "n_envs", "n", "batch_size", "batch", "frame_stack")
    for value in VALUES:
        if not (_is_large(value) and name.partition("[")[0].rpartition(".")[2] in sizes):
            check_refusal(lambda value=value: CALLS[name](value), f"{name}({type(value).__name__})")


def test_the_reported_call() -> None:
    """160 is no int8, and NumPy raised OverflowError."""
    one = encode_cells(pixel_stride=np.int8(1))
    for got, want in zip(one, encode_cells(pixel_stride=1), strict=True):
        assert_same(got, want)


# --- arrays, too --------------------------------------------------------------------------------


@pytest.mark.parametrize("first", range(0, 1500, 250))
def test_bent_arrays(first: int) -> None:
    """As ``fuzz_kernels`` bends them for as long as one likes, there by Numba, too."""
    for number in range(first, first + 250):
        fuzz_kernels.bend_a_call(7, number, ("cython", "numpy"))


def test_every_declared_number_is_among_them() -> None:
    declared = {(n, i.name) for n in CASES for i in declaration(n).flat() if isinstance(i, Number)}
    assert declared <= set(SCALARS)
