"""Optimizers, in place."""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import pairwise

import numpy as np

from fastpong.arrays import Array, Floats
from fastpong.kernels import checks
from fastpong.kernels.arguments import ANY, FLOAT, AboveZero, Call, Flag, In, InPlace, Number
from fastpong.kernels.bundles import (
    CELLS,
    MOMENTS,
    CellNetwork,
    CellTree,
    Moments,
    cells_example,
    cells_network,
    cells_tree,
    mirrored,
)
from fastpong.kernels.parts import positive, ravel
from fastpong.kernels.runner import Runner
from fastpong.kernels.spec import Group, Kernel

RMSPROP_UPDATE = Kernel(
    "rmsprop_update",
    "optimizers",
    (
        InPlace("parameter", FLOAT, ANY, shaped=ravel),
        In("gradient", FLOAT, ANY, shaped=ravel),
        InPlace("cache", FLOAT, ANY, None, positive, shaped=ravel),
        Number("learning_rate", checks.not_negative, 1e-3),
        Number("decay", checks.fraction, 0.9),
        AboveZero("epsilon", 1e-5),
        Flag("maximize", True),
    ),
    {"": {"...": 6}},
)
ADAM_UPDATE = Kernel(
    "adam_update",
    "optimizers",
    (
        InPlace("parameter", FLOAT, ANY, shaped=ravel),
        In("gradient", FLOAT, ANY, shaped=ravel),
        InPlace("mean", FLOAT, ANY, shaped=ravel),
        InPlace("square", FLOAT, ANY, None, positive, shaped=ravel),
        Number("step", checks.count, 3),
        Number("learning_rate", checks.not_negative, 1e-3),
        Number("beta1", checks.below_one, 0.9),
        Number("beta2", checks.below_one, 0.999),
        AboveZero("epsilon", 1e-7),
        Flag("epsilon_hat", True),
    ),
    {"": {"...": 6}},
)

CELLS_ADAM = Kernel(
    "cells_adam",
    "optimizers",
    (
        cells_network(InPlace),
        InPlace("gradient", FLOAT, ("R+3", "H")),
        MOMENTS,
        cells_tree(mirrored),
        Number("step", checks.count, 3),
        Group(
            (
                Number("factor", checks.not_negative, 1.0),
                Number("learning_rate", checks.not_negative, 1e-3),
                Number("beta1", checks.below_one, 0.9),
                Number("beta2", checks.below_one, 0.999),
                Number("epsilon", checks.not_tiny, 1e-5),
            )
        ),
    ),
    CELLS,
    cells_example,
)


class Optimizers(Runner):
    """The part of a ``Backend`` that this family adds."""

    def rmsprop_update(
        self,
        parameter: Array,
        gradient: Array,
        cache: Array,
        learning_rate: float = 1e-4,
        decay: float = 0.99,
        epsilon: float = 1e-5,
        *,
        maximize: bool = True,
    ) -> None:
        """Climb, or descend, one RMSProp step in place.

            c = decay c + (1 - decay) g^2,   w = w + learning_rate g / (sqrt(c) + epsilon)

        parameter, cache : overwritten, writeable and C-contiguous
        gradient         : read
        learning_rate : >= 0,  decay : in [0, 1]
        epsilon       : > 0, also when rounded to the arrays' dtype: a pixel that never lit up
                        has g = c = 0, and nothing else keeps it from 0 / 0
        maximize      : climb along the gradient of a return. Without, descend that of a loss:
                        w = w - ...

        ``torch.optim.RMSprop(lr, alpha, eps)`` is ``learning_rate=lr, decay=alpha, epsilon=eps,
        maximize=False`` with a cache of zeros.
        """
        self._run(
            RMSPROP_UPDATE, parameter, gradient, cache, learning_rate, decay, epsilon, maximize
        )

    def adam_update(
        self,
        parameter: Array,
        gradient: Array,
        mean: Array,
        square: Array,
        step: int,
        learning_rate: float = 1e-3,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-7,
        epsilon_hat: bool = True,
    ) -> None:
        """Descend one step of Adam in place.

            m = b1 m + (1 - b1) g,   v = b2 v + (1 - b2) g^2,   c1 = 1 - b1^step,  c2 = 1 - b2^step
            w = w - learning_rate sqrt(c2) / c1 m / (sqrt(v) + epsilon)    with epsilon_hat
            w = w - learning_rate (m / c1) / (sqrt(v / c2) + epsilon)      without

        parameter, mean, square : overwritten, writeable and C-contiguous
        gradient                : read
        step                    : number of this update, from 1
        learning_rate           : >= 0,  beta1, beta2 : in [0, 1)
        epsilon                 : > 0, also when rounded to the arrays' dtype
        epsilon_hat             : epsilon stands beside the uncorrected root, as in Keras. Without,
                                  beside the corrected one, as in PyTorch and Kingma and Ba (2015),
                                  Algorithm 1

        All four arrays are of one shape. ``torch.optim.Adam(lr, betas, eps)`` is
        ``learning_rate=lr, beta1=betas[0], beta2=betas[1], epsilon=eps, epsilon_hat=False`` with
        moments of zeros. The defaults are those of ``keras.optimizers.Adam``.
        """
        self._run(
            ADAM_UPDATE, parameter, gradient, mean, square, step, learning_rate, beta1, beta2,
            epsilon, epsilon_hat,
        )  # fmt: skip

    def clip_grad_norm(
        self,
        gradients: Array | Iterable[Array],
        max_norm: float,
        *,
        error_if_nonfinite: bool = True,
    ) -> float:
        """Scale gradients down to a norm, in place.

            norm = sqrt(sum of all g^2),   g = g min(1, max_norm / (norm + 1e-6))

        gradients : an array of any shape, or several, of which the norm is taken together. Each is
                    float32 or float64, overwritten, writeable and C-contiguous
        max_norm  : >= 0. Infinity changes nothing, and only the norm is returned
        error_if_nonfinite : raise ValueError where the norm is not finite, and change nothing.
                    Without, as PyTorch's default, NaN makes all gradients NaN, an infinite norm
                    makes them 0, and NaN where they were infinite

        Returns the norm before, added up in float64. Source: ``torch.nn.utils.clip_grad_norm_``.
        """
        limit, raw = checks.threshold("max_norm", max_norm), self.raw.family("optimizers")
        arrays = _separate(gradients)
        norm = math.sqrt(sum(raw.squared_norm(array) for array in arrays))
        if checks.truth("error_if_nonfinite", error_if_nonfinite) and not math.isfinite(norm):
            raise ValueError(
                f"gradients: expected a finite norm, got {norm}; skip this update, or pass "
                f"error_if_nonfinite=False to scale all the same"
            )
        factor = limit / (norm + 1e-6)
        if not factor >= 1 and limit < math.inf:
            for array in arrays:
                raw.scale(array, factor)
        return norm

    def cells_adam(
        self,
        network: CellNetwork,
        gradient: Floats,
        moments: Moments,
        tree: CellTree,
        step: int,
        factor: float = 1.0,
        learning_rate: float = 1e-3,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-5,
    ) -> None:
        """Descend one step of Adam in place, by ``factor`` gradients.

            m = b1 m + (1 - b1) g,   v = b2 v + (1 - b2) g^2
            w = w - learning_rate m / (1 - b1^step) / (sqrt(v / (1 - b2^step)) + epsilon)

        network  : overwritten, a row moves with its parents
        gradient : (R + 3, H), of ``cells_backward``, overwritten by the steps of W, that is of each
                   level's rows by themselves
        moments  : overwritten. Numbers below 1e-35 may be set to 0
        step     : number of this update, from 1
        factor, learning_rate : >= 0,  beta1, beta2 : in [0, 1)
        epsilon  : at least 1e-12: far above the root of numbers that may be set to 0
        """
        self._run(
            CELLS_ADAM, network, gradient, moments, tree, step, factor, learning_rate, beta1, beta2,
            epsilon,
        )  # fmt: skip


def _separate(gradients: Array | Iterable[Array]) -> list[Array]:
    """Return arrays to write into, each in one row, that share no memory."""
    alone = hasattr(gradients, "shape") or not isinstance(gradients, Iterable)
    given: list[Array] = [gradients] if alone else list(gradients)  # type: ignore[list-item]
    names = ["gradients"] if alone else [f"gradients[{number}]" for number in range(len(given))]
    for name, one in zip(names, given, strict=True):
        if one is None or getattr(one, "requires_grad", False) is True:
            raise TypeError(
                f"{name}: expected a gradient, got {_kind(one)}; pass "
                "[p.grad for p in model.parameters() if p.grad is not None]"
            )
    arrays = [_to_row(name, one) for name, one in zip(names, given, strict=True)]
    # Arrays with memory of their own share it only with themselves.
    if len({id(one) for one in given}) < len(given) or not all(map(_owns, given)):
        _no_overlap(names, arrays)
    return arrays


def _kind(gradient: object) -> str:
    return "None" if gradient is None else f"a {type(gradient).__name__} that requires grad"


def _to_row(name: str, array: Array) -> Array:
    if array.__class__ is np.ndarray and array.flags.carray and array.dtype in FLOAT:
        return array.reshape(-1)
    row: Array = InPlace(name, FLOAT, ANY, shaped=ravel).check(Call(), array)
    return row


def _owns(array: Array) -> bool:
    return array.__class__ is np.ndarray and array.flags.owndata


def _no_overlap(names: list[str], arrays: list[Array]) -> None:
    """Refuse arrays that share memory: in the order of addresses each ends before the next."""
    used = [(a.ctypes.data, a.nbytes, n) for n, a in zip(names, arrays, strict=True) if a.size]
    for (address, size, name), (after, _, other) in pairwise(sorted(used)):
        if address + size > after:
            raise ValueError(f"{other}: shares memory with {name}; pass separate arrays")
