"""The one table of tolerances. To loosen an entry, write the reason beside it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

# A compiled kernel against the oracle, relative. Pixel kernels have no entry: they are exact.
KERNEL = {np.dtype(np.float64): 1e-12, np.dtype(np.float32): 1e-5}

# An analytic gradient against central differences in float64, relative to the largest component:
# a step of 1e-5 leaves truncation and rounding of some 1e-10.
GRADIENT = 1e-8

# Weights, moments and losses after a PPO update of nine minibatches, against the oracle: as KERNEL,
# but Adam divides by the root of small second moments, which enlarges roundings.
UPDATE = {np.dtype(np.float64): 1e-11, np.dtype(np.float32): 3e-5}

# Weights of whole training runs in float64, backend against backend: thousands of roundings,
# each of them divided by sqrt(cache) + epsilon, which magnifies those of small gradients.
TRAINING = 1e-9

# Probabilities (absolute), losses and weights (relative to the largest) after 20 updates, against
# Keras in float64: float32 kernels come within 5e-7, and Keras rounds its learning rate to float32.
KERAS = 1e-6

# The same against Keras in float32, for each weight, beside 2e-5 in all, 0.2% of what a weight
# moved: Keras rounds its targets so that three or four digits are left of a gradient.
KERAS_FLOAT32 = 1e-4

# Weights after 200 steps of an optimizer, relative to the way that they came, moments and clipped
# gradients against PyTorch: both round every step, in other places.
TORCH = {np.dtype(np.float64): 1e-12, np.dtype(np.float32): 1e-5}

# Normalized observations and rewards, in float32, against gymnasium's and Stable-Baselines3's
# wrappers: their statistics are float64, too, and add up in another order.
NORMALIZED = 1e-6

# The same where gymnasium's statistics are float32. The first observation is nearly the mean, so
# that its difference from it has four digits left.
NORMALIZED_FLOAT32 = 2e-3


def assert_close(
    got: Any, want: Any, rtol: float | None = None, scale: Any = None, name: str = ""
) -> None:
    """Assert |got - want| <= rtol (|want| + scale), by the dtype of ``got`` and its shape.

    ``scale`` is by default the largest |want|: in a sum that cancels, roundings keep the size
    of the terms, which the largest of many such sums has too.

    name : of what was computed, for the message
    """
    got, want = np.asarray(got), np.asarray(want)
    assert got.shape == want.shape
    rtol = KERNEL[got.dtype] if rtol is None else rtol
    scale = np.max(np.abs(want), initial=0.0) if scale is None else scale
    np.testing.assert_allclose(got, want, rtol=rtol, atol=rtol * float(scale), err_msg=name)


def assert_same(got: NDArray[Any], want: NDArray[Any]) -> None:
    """Assert the same dtype, shape and values."""
    np.testing.assert_array_equal(got, want, strict=True)
