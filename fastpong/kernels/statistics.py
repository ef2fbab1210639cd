"""Statistics: standardized values, running means and variances."""

from __future__ import annotations

import math

import numpy as np

from fastpong.arrays import Array, Doubles
from fastpong.kernels import checks
from fastpong.kernels.arguments import (
    ANY,
    F64,
    FLAGS,
    FLOAT,
    REAL,
    AboveZero,
    Flag,
    In,
    InPlace,
    Number,
    Out,
    Shaped,
)
from fastpong.kernels.parts import batch_of_one, bits, positive, ravel, row_count, variances
from fastpong.kernels.runner import Runner
from fastpong.kernels.spec import Kernel

STANDARDIZE = Kernel(
    "standardize",
    "statistics",
    (
        In("values", FLOAT, ANY, shaped=ravel),
        Out("out", FLOAT, ANY, aliases=("values",), shaped=ravel),
        Flag("center", True),
        Number("ddof", checks.whole, 1),
        Number("epsilon", checks.not_negative, 1e-8),
        Flag("sequential", False),
    ),
    {"": {"...": 19}},
)
UPDATE_MEAN_VAR = Kernel(
    "update_mean_var",
    "statistics",
    (
        In("batch", REAL, ("N", "D")),
        InPlace("mean", F64, ("D",)),
        InPlace("var", F64, ("D",), variances, positive),
        InPlace("count", F64, (1,), row_count, positive),
    ),
    {"": {"N": 5, "D": 3}, "wide": {"N": 3, "D": 67}},
)
NORMALIZE_OBSERVATIONS = Kernel(
    "normalize_observations",
    "statistics",
    (
        In("observations", REAL, ("N", "D")),
        In("mean", F64, ("D",)),
        In("var", F64, ("D",), variances, positive),
        AboveZero("epsilon", 1e-8),
        Number("clip", checks.limit, 1.0),
        Out("out", FLOAT, ("N", "D"), aliases=("observations",)),
    ),
    {"": {"N": 5, "D": 3}, "wide": {"N": 3, "D": 67}},
)


def _rewards(name: str, dims: tuple[str, ...], shaped: Shaped | None = None) -> Kernel:
    return Kernel(
        name,
        "statistics",
        (
            In("rewards", REAL, dims, shaped=shaped),
            In("episode_starts", FLAGS, dims, None, bits, shaped),
            InPlace("returns", F64, ("N",)),
            InPlace("mean", F64, (1,)),
            InPlace("var", F64, (1,), variances, positive),
            InPlace("count", F64, (1,), row_count, positive),
            Number("gamma", checks.fraction, 0.99),
            AboveZero("epsilon", 1e-8),
            Number("clip", checks.limit, 1.0),
            Flag("update", True),
            Out("out", FLOAT, dims, shaped=shaped, aliases=("rewards",)),
        ),
        {"": {"T": 4, "N": 3}},
        raw="normalize_rewards",
        public="normalize_rewards",
    )


NORMALIZE_REWARDS = _rewards("normalize_rewards", ("T", "N"))
NORMALIZE_REWARDS_ROW = _rewards("normalize_rewards_row", ("N",), batch_of_one)


class Statistics(Runner):
    """The part of a ``Backend`` that this family adds."""

    def standardize(
        self,
        values: Array,
        out: Array | None = None,
        center: bool = True,
        *,
        ddof: int = 0,
        epsilon: float = 0.0,
        sequential: bool = False,
    ) -> Array:
        """Return values less their mean, over their deviation.

            (v - mean(v)) / (std(v) + epsilon),   std(v)^2 = sum of (v - mean(v))^2 / (n - ddof)

        values     : of any shape, n in all. Equal values have no deviation: their result is 0, and
                     without ``center`` v / epsilon. It is never NaN for a divisor of 0
        center     : subtract the mean. Without it the result is v / (std(v) + epsilon)
        ddof       : 0 for the population's deviation as in NumPy, 1 for the sample's as in PyTorch,
                     below n
        epsilon    : >= 0
        out        : as values, may be ``values`` itself
        sequential : add up element by element. By default eight interleaved sums are taken, which
                     differ in the last bits of a float64, and are three times as fast

        Mean and deviation are float64 for float32, too. With ``ddof=1, epsilon=1e-8`` these are the
        normalized advantages of CleanRL and Stable-Baselines3.
        """
        if not (ddof.__class__ is int and values.__class__ is np.ndarray and ddof < values.size):
            _below_size(ddof, getattr(values, "shape", None))
        return self._run_one(STANDARDIZE, values, out, center, ddof, epsilon, sequential)

    def update_mean_var(self, batch: Array, mean: Doubles, var: Doubles, count: Doubles) -> None:
        """Update running means and variances in place.

            mean, var of all rows so far and those of the batch together,   count = count + N

        batch     : (N, D), integers are taken, too. Without rows nothing changes
        mean, var : (D,) float64, of the population
        count     : (1,) float64, rows so far, >= 0. Start with mean 0, var 1 and count 1e-4 as
                    gymnasium and Stable-Baselines3 do

        Source: Welford (1962). The parallel formula of Chan et al. (1979), of which gymnasium and
        Stable-Baselines3 make their ``RunningMeanStd``, gives the same but for roundings.
        """
        self._run(UPDATE_MEAN_VAR, batch, mean, var, count)

    def normalize_observations(
        self,
        observations: Array,
        mean: Doubles,
        var: Doubles,
        epsilon: float = 1e-8,
        clip: float | None = 10.0,
        out: Array | None = None,
    ) -> Array:
        """Return observations less their mean, over their deviation, clipped.

            (x - mean) / sqrt(var + epsilon),   cut to [-clip, clip]

        observations : (N, D), integers are taken, too
        mean, var    : (D,) float64, of ``update_mean_var``
        epsilon      : > 0, under the root as in gymnasium and Stable-Baselines3
        clip         : > 0, or None to clip nothing
        out          : (N, D), may be ``observations`` itself
        """
        return self._run_one(NORMALIZE_OBSERVATIONS, observations, mean, var, epsilon, clip, out)

    def normalize_rewards(
        self,
        rewards: Array,
        episode_starts: Array,
        returns: Doubles,
        mean: Doubles,
        var: Doubles,
        count: Doubles,
        gamma: float = 0.99,
        epsilon: float = 1e-8,
        clip: float | None = 10.0,
        update: bool = True,
        out: Array | None = None,
    ) -> Array:
        """Return rewards over the deviation of the returns so far, clipped.

            G_t = r_t + gamma (1 - start_t) G_{t-1}
            r_t / sqrt(var of all G so far + epsilon),   cut to [-clip, clip]

        rewards          : (N,), one step of N environments, or (T, N). Integers are taken, too
        episode_starts   : the same shape, of any dtype: not 0 where G begins anew
        returns          : (N,) float64, G of the step before, overwritten by the last one
        mean, var, count : (1,) float64, overwritten. Start with returns 0, mean 0, var 1, count
                           1e-4 as gymnasium and Stable-Baselines3 do
        gamma            : in [0, 1]
        epsilon          : > 0, under the root
        clip             : > 0, or None to clip nothing
        update           : without it nothing is overwritten, and var is taken as it is
        out              : as rewards, may be ``rewards`` itself

        With the dones of the step before as ``episode_starts`` this is ``VecNormalize`` of
        Stable-Baselines3, with ``terminated`` of the same step gymnasium's ``NormalizeReward``.
        """
        one = getattr(rewards, "ndim", 2) == 1
        return self._run_one(
            NORMALIZE_REWARDS_ROW if one else NORMALIZE_REWARDS,
            rewards, episode_starts, returns, mean, var, count, gamma, epsilon, clip, update, out,
        )  # fmt: skip


def _below_size(ddof: object, shape: tuple[int, ...] | None) -> None:
    """Refuse a ``ddof`` that leaves nothing to divide by."""
    number = checks.whole("ddof", ddof)
    if shape is not None and 0 < number >= math.prod(shape):
        raise ValueError(
            f"ddof: expected an integer below the number of values, {math.prod(shape)}, "
            f"got {ddof!r}"
        )
