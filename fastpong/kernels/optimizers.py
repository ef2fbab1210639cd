"""Optimizers, in place."""

from __future__ import annotations

from fastpong.arrays import Array, Floats
from fastpong.kernels import checks
from fastpong.kernels.arguments import ANY, FLOAT, AboveZero, Flag, In, InPlace, Number
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
    ) -> None:
        """Climb one RMSProp step in place.

            c = decay c + (1 - decay) g^2,   w = w + learning_rate g / (sqrt(c) + epsilon)

        parameter, cache : overwritten, writeable and C-contiguous
        gradient         : read
        learning_rate : >= 0,  decay : in [0, 1]
        epsilon       : > 0, also when rounded to the arrays' dtype: a pixel that never lit up
                        has g = c = 0, and nothing else keeps it from 0 / 0
        """
        self._run(RMSPROP_UPDATE, parameter, gradient, cache, learning_rate, decay, epsilon)

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

        All four arrays are of one shape.
        """
        self._run(
            ADAM_UPDATE, parameter, gradient, mean, square, step, learning_rate, beta1, beta2,
            epsilon, epsilon_hat,
        )  # fmt: skip

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
