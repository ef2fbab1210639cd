"""Optimizers against the oracle, over many steps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tolerances import assert_close, assert_same

from fastpong import oracle

pytestmark = pytest.mark.filterwarnings("error")

F64 = np.dtype(np.float64)


def normal(seed: int, *shape: int) -> Any:
    return np.random.default_rng(seed).standard_normal(shape)


def doubles(arrays: Any) -> Any:
    return tuple(array.astype(F64) for array in arrays)


@pytest.mark.parametrize("shape", [(0,), (1,), (7,), (200,), (64, 65), (6400, 3), (2, 3, 4)])
def test_rmsprop_is_the_oracles(backend: Any, dtype: Any, shape: tuple[int, ...]) -> None:
    parameter, gradient = normal(1, *shape).astype(dtype), normal(2, *shape).astype(dtype)
    cache = (normal(3, *shape) ** 2).astype(dtype)
    rates = (1e-2, 0.99, 1e-5)
    exact = [array.astype(np.float64).reshape(-1) for array in (parameter, gradient, cache)]
    for _ in range(3):
        oracle.rmsprop_update(exact[0], exact[1], exact[2], *rates)
        assert backend.rmsprop_update(parameter, gradient, cache, *rates) is None
    assert_close(parameter.reshape(-1), exact[0])
    assert_close(cache.reshape(-1), exact[2])


def test_rmsprop_has_the_references_rates(backend: Any, dtype: Any) -> None:
    parameter, cache = np.zeros(1, dtype), np.zeros(1, dtype)
    backend.rmsprop_update(parameter, np.array([2.0], dtype), cache)
    assert_close(parameter, [1e-4 * 2 / (0.2 + 1e-5)])
    # To the last bit or two: 1 - decay must be taken before decay is rounded to float32.
    assert_close(cache, [0.01 * 4], rtol=2 * np.finfo(dtype).eps)


def test_a_descent_is_the_climb_mirrored(backend: Any, dtype: Any) -> None:
    gradient, moves = normal(7, 99).astype(dtype), []
    for maximize in (True, False):
        parameter, cache = np.zeros(99, dtype), np.ones(99, dtype)
        backend.rmsprop_update(parameter, gradient, cache, maximize=maximize)
        moves.append(parameter)
    assert_same(moves[0], -moves[1])
    assert np.all(moves[0] * gradient >= 0)


@pytest.mark.parametrize("size", [0, 1, 7, 1000])
def test_adam_is_the_oracles_over_many_steps(
    backend: Any, exact: Any, dtype: Any, size: int
) -> None:
    rng = np.random.default_rng(4)
    mine = [rng.standard_normal(size).astype(dtype), np.zeros(size, dtype), np.zeros(size, dtype)]
    theirs = doubles(mine)
    for step in (1, 2, 3, 1000, 10**9):
        gradient = (rng.standard_normal(size) * 1e-3).astype(dtype)
        backend.adam_update(mine[0], gradient, *mine[1:], step, 0.01)
        exact.adam_update(theirs[0], gradient.astype(F64), *theirs[1:], step, 0.01)
    for got, want in zip(mine, theirs, strict=True):
        assert_close(got, want)


def test_adams_first_step_is_as_long_as_the_rate(backend: Any, dtype: Any) -> None:
    w, zero = np.zeros(3, dtype), np.zeros(3, dtype)
    backend.adam_update(w, np.array([5, -2, 0], dtype), zero, zero.copy(), 1, 0.25, epsilon=1e-30)
    np.testing.assert_allclose(w[:2], [-0.25, 0.25], rtol=1e-6)
    assert w[2] == 0  # it is epsilon that keeps a weight without gradient in place
    with pytest.raises(ValueError, match="epsilon"):
        backend.adam_update(w, zero * 0, zero * 0, zero * 0, 1, 0.25, epsilon=0)
    w = np.zeros(3, dtype)
    backend.adam_update(w, zero * 0, zero * 0, zero * 0, 1)
    assert not w.any()


@pytest.mark.parametrize("epsilon_hat", [True, False])
def test_both_conventions_of_epsilon_are_the_formulas(
    backend: Any, dtype: Any, epsilon_hat: bool
) -> None:
    """In numbers of their own: rate m' / (sqrt(v') + e), or epsilon beside sqrt(v)."""
    g, rate, b1, b2, epsilon, step = 0.02, 0.25, 0.9, 0.99, 0.5, 3
    w, m, v = (np.full(1, x, dtype) for x in (1.0, 0.1, 0.04))
    first, second = b1 * 0.1 + (1 - b1) * g, b2 * 0.04 + (1 - b2) * g * g
    c1, c2 = 1 - b1**step, 1 - b2**step
    root = np.sqrt(second) if epsilon_hat else np.sqrt(second / c2)
    scale = np.sqrt(c2) / c1 if epsilon_hat else 1 / c1
    gradient = np.full(1, g, dtype)
    backend.adam_update(w, gradient, m, v, step, rate, b1, b2, epsilon, epsilon_hat)
    assert_close(w, [1 - rate * scale * first / (root + epsilon)])
    assert_close(m, [first])
    assert_close(v, [second])


def test_adam_refuses_numbers_out_of_range(backend: Any) -> None:
    arrays = [np.ones(2) for _ in range(4)]
    for name, value, error in (
        *(("step", 0, ValueError), ("step", 1.0, TypeError), ("step", True, TypeError)),
        *(("beta1", 1.0, ValueError), ("beta2", -0.1, ValueError), ("epsilon", -1, ValueError)),
        *(("learning_rate", np.nan, ValueError), ("beta1", "high", TypeError)),
    ):
        with pytest.raises(error, match=f"^{name}"):
            backend.adam_update(*arrays, **({"step": 1} | {name: value}))


# --- gradient clipping --------------------------------------------------------------------------


def gradients(dtype: Any, *shapes: tuple[int, ...]) -> list[Any]:
    return [normal(k, *shape).astype(dtype) for k, shape in enumerate(shapes)]


def norm_of(arrays: Any) -> float:
    return float(np.sqrt(sum(np.square(array.astype(F64)).sum() for array in arrays)))


@pytest.mark.parametrize("shapes", [((1,),), ((7,),), ((1000,), (0,), (3, 5), (2, 3, 4), ())])
def test_clipped_gradients_have_the_norm(
    backend: Any, dtype: Any, shapes: tuple[tuple[int, ...], ...]
) -> None:
    arrays = gradients(dtype, *shapes)
    before, whole = [array.copy() for array in arrays], norm_of(arrays)
    got = backend.clip_grad_norm(arrays, whole / 4)
    assert isinstance(got, float)
    np.testing.assert_allclose(got, whole, rtol=1e-12)
    for array, given in zip(arrays, before, strict=True):
        assert_close(array, given.astype(F64) * (whole / 4) / (whole + 1e-6))
    np.testing.assert_allclose(norm_of(arrays), whole / 4, rtol=1e-4)


@pytest.mark.parametrize("factor", [1.01, 1e9, np.inf])
def test_small_gradients_stay_to_the_bit(backend: Any, dtype: Any, factor: float) -> None:
    arrays = gradients(dtype, (33,), (4, 4))
    before, whole = [array.copy() for array in arrays], norm_of(arrays)
    assert backend.clip_grad_norm(iter(arrays), whole * factor) == pytest.approx(whole, rel=1e-12)
    for array, given in zip(arrays, before, strict=True):
        assert_same(array, given)


def test_one_array_or_several_of_both_dtypes(backend: Any) -> None:
    alone = np.array([[3.0, 4.0]], np.float32)
    assert backend.clip_grad_norm(alone, 1.0) == 5
    assert_close(alone, np.array([[0.6, 0.8]]))
    both = [np.full(1, 3, np.float32), np.full(1, 4, np.float64)]
    assert backend.clip_grad_norm(both, 1.0) == 5
    assert_close(both[0], [0.6])
    assert backend.clip_grad_norm([], 1.0) == 0
    tiny = np.full(1, 1e-6)
    assert backend.clip_grad_norm(tiny, 5e-7) == 1e-6
    assert_close(tiny, [0.25e-6])  # of a norm of 1e-6, to which 1e-6 is added
    zeros = np.zeros(3)
    assert backend.clip_grad_norm(zeros, 0.0) == 0 and not zeros.any()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_norm_that_is_not_finite_is_an_error(backend: Any, dtype: Any, bad: float) -> None:
    arrays = [np.ones(3, dtype), np.array([1, bad], dtype)]
    before = [array.copy() for array in arrays]
    with pytest.raises(ValueError, match=r"^gradients: expected a finite norm"):
        backend.clip_grad_norm(arrays, 0.5)
    for array, given in zip(arrays, before, strict=True):
        assert_same(array, given)


def test_clipping_refuses_what_it_cannot_write(backend: Any) -> None:
    fixed, spread, base = np.ones(4), np.ones(8)[::2], np.ones(9)
    fixed.flags.writeable = False
    for wrong, error, name in (
        *((fixed, ValueError, "gradients"), (spread, ValueError, "gradients")),
        *(([np.ones(2), fixed], ValueError, r"gradients\[1\]"), ("grad", TypeError, "gradients")),
        *((None, TypeError, "gradients"), ([None], TypeError, r"gradients\[0\]")),
        *(([[1.0]], TypeError, r"gradients\[0\]"), (np.ones(3, int), TypeError, "gradients")),
        *(([np.ones(3, np.float16)], TypeError, r"gradients\[0\]"), (3.0, TypeError, "gradients")),
        *(([base[:5], base[4:]], ValueError, r"gradients\[1\]: shares memory"),),
        *(([base[1:3], base], ValueError, r"gradients\[0\]: shares memory"),),
    ):
        with pytest.raises(error, match=f"^{name}"):
            backend.clip_grad_norm(wrong, 0.0)
    assert base.all()  # nothing was clipped


def test_clipping_weights_in_place_of_gradients(backend: Any) -> None:
    """Detached weights would be scaled down themselves."""

    class Parameter:
        requires_grad = True
        __array__ = None

    for wrong, got in ((Parameter(), "a Parameter that requires grad"), (None, "None")):
        with pytest.raises(TypeError, match=rf"^gradients\[0\]: .* got {got}; pass \[p\.grad"):
            backend.clip_grad_norm([wrong], 1.0)


def test_clipping_refuses_norms_that_are_none(backend: Any) -> None:
    for value in (-1.0, np.nan, -np.inf):
        with pytest.raises(ValueError, match=r"^max_norm"):
            backend.clip_grad_norm(np.ones(2), value)
    for value in (None, "1", True, [1.0]):
        with pytest.raises(TypeError, match=r"^max_norm"):
            backend.clip_grad_norm(np.ones(2), value)
