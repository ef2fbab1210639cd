"""Losses and the softmax against the oracle."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tolerances import assert_close, assert_same

pytestmark = pytest.mark.filterwarnings("error")

F64 = np.dtype(np.float64)


def doubles(arrays: Any) -> Any:
    return tuple(array.astype(F64) for array in arrays)


def test_softmax_is_the_oracles_and_never_overflows(backend: Any, exact: Any, dtype: Any) -> None:
    logits = np.random.default_rng(2).standard_normal((50, 6)).astype(dtype)
    logits[:10] *= 300
    logits[0, 3], logits[1] = 1e30, -1e30
    p = backend.softmax(logits)
    assert_close(p, exact.softmax(logits.astype(F64)))
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-6)
    assert_same(backend.softmax((logits + 0)[:0]), p[:0])
    assert backend.softmax(logits, out=logits) is logits
    assert_same(logits, p)


def test_loss_and_gradient_are_the_oracles(backend: Any, exact: Any, dtype: Any) -> None:
    rng = np.random.default_rng(3)
    p = exact.softmax(rng.standard_normal((60, 6)) * rng.choice([1, 5, 20], (60, 1))).astype(dtype)
    actions = rng.integers(0, 6, 60).astype(np.uint8)
    advantage = rng.standard_normal(60).astype(dtype)
    for step in (0.0, 1e-3, 0.5):
        got = backend.cross_entropy_gradient(p, actions, advantage, step)
        want = exact.cross_entropy_gradient(*doubles((p,)), actions, *doubles((advantage,)), step)
        # In float32 rounded probabilities do not quite add up to 1, as those of the formula do.
        scale = 1.0 if dtype == F64 else 1.0 + 1e-2
        assert_close(got[0], want[0], scale=scale)
        assert_close(got[1], want[1])
    plain = np.full((1, 6), 1 / 6, dtype)
    tiny = backend.cross_entropy_gradient(plain, actions[:1], np.ones(1, dtype), 1e-3)[0][0]
    onehot = np.eye(6)[actions[0]]
    assert_close(tiny, 1e-3 * (1 / 6 - onehot))  # nothing of it is lost to cancellation


def test_a_clipped_probability_has_no_slope(backend: Any) -> None:
    p = np.array([[1.0, 0, 0, 0, 0, 0]])
    dlogit, loss = backend.cross_entropy_gradient(p, np.zeros(1, np.uint8), np.ones(1), 0.1)
    assert not dlogit.any()
    assert_close(loss, [-np.log(1 - 1e-7)], 1e-6)


def test_actions_out_of_range_are_refused(backend: Any) -> None:
    p, actions = np.full((1, 6), 1 / 6), np.array([6], np.uint8)
    with pytest.raises(ValueError, match=r"^actions"):
        backend.cross_entropy_gradient(p, actions, np.ones(1), 0.1)
