"""What the Q-learning agent learns from its replay: steps of Adam on minibatches, on all cores.

The hidden units are divided into parts of 64, each with copies of its weights and moments, and a
thread computes all that belongs to its parts. Log odds and values are added up part by part and the
gradient's norm unit by unit, in one fixed order: weights are the same for any number of threads,
bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Any
from weakref import finalize

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fastpong.agents.dqn.replay import Replay, Sample
from fastpong.kernels import Backend
from fastpong.learning import aligned
from fastpong.learning.finite import check_finite

if TYPE_CHECKING:
    from fastpong.agents.dqn.settings import Settings

Array = NDArray[Any]

UNITS = 64


class _Part:
    """Some of the units: copies of their columns, and room."""

    def __init__(self, learner: QLearner, first: int, last: int) -> None:
        hyper, tree, dtype = learner.hyper, learner.tree, learner.dtype
        width, size = last - first, hyper.minibatch
        self.ppo, self.hyper, self.tree = learner.kernels.raw.cells, hyper, tree
        self.columns, self.width = slice(first, last), width

        def room(*shape: int) -> Array:
            return aligned.zeros(shape, dtype)

        self.rows, self.units = room(tree.base, width), room(3, width)
        self.target = room(tree.base, width), room(3, width)
        self.mean, self.square, self.gradient = (room(tree.rows + 3, width) for _ in range(3))
        self.squares = np.zeros(width)
        self.hidden, self.hidden_later = room(2 * size, 2, width), room(size, 2, width)
        # Log odds and values of the decisions and those after; and the target's of those after.
        self.heads, self.heads_later = room(2, 2 * size), room(2, size)

    def pairs(self, parameters: Any, state: Any) -> list[tuple[Array, Array]]:
        """Return the copies and what they are copies of."""
        return [
            (self.rows, parameters["rows"]),
            (self.units, parameters["units"]),
            (self.mean, state["mean"]),
            (self.square, state["square"]),
            (self.target[0], state["target/rows"]),
            (self.target[1], state["target/units"]),
        ]

    def take(self, parameters: Any, state: Any) -> None:
        """Copy the units' columns."""
        for mine, whole in self.pairs(parameters, state):
            mine[...] = whole[:, self.columns]

    def give(self, parameters: Any, state: Any) -> None:
        """Write them back."""
        for mine, whole in self.pairs(parameters, state):
            whole[:, self.columns] = mine

    def renew_target(self) -> None:
        """Make the target network what the network is."""
        self.target[0][...], self.target[1][...] = self.rows, self.units

    def forward(self, renew: bool, inputs: tuple[Array, ...], sample: Sample) -> None:
        """Write this part's share of all log odds and values; before that, renew the target."""
        if renew:
            self.renew_target()
        now, later = sample.now, sample.later
        both = np.concatenate([now, later])
        self._heads(inputs, both, self.rows, self.units, self.hidden, self.heads)
        self._heads(inputs, later, *self.target, self.hidden_later, self.heads_later)

    def go_on(self, step: tuple[Any, ...], *following: Any) -> None:
        """Take a step of Adam, then begin with the following minibatch: a meeting less."""
        self.step(*step)
        self.forward(*following)

    def _heads(
        self, inputs: tuple[Array, ...], order: Array, rows: Array, units: Array, hidden: Array,
        heads: Array,
    ) -> None:  # fmt: skip
        mirror = self.tree.mirror
        self.ppo.pyramid_forward(order, *inputs, rows, mirror, units, 0, self.width, hidden)
        self.ppo.actor_critic(hidden, units, 0, len(order), heads[0], heads[1])

    def backward(
        self, inputs: tuple[Array, ...], now: Array, seen: Array, dlogit: Array, dvalue: Array
    ) -> None:
        """Write the gradient by this part's weights, and its squares' sums."""
        tree = self.tree
        self.ppo.pyramid_backward(
            now, *inputs, tree.mirror, tree.parents, tree.scales, seen, self.hidden[: len(now)],
            self.units, dlogit, dvalue, 0, self.width, self.gradient, self.squares,
        )  # fmt: skip

    def step(self, seen: Array, factor: float, number: int, rate: float) -> None:
        """Take a step of Adam."""
        hyper, tree = self.hyper, self.tree
        self.ppo.pyramid_adam(
            self.rows, self.units, self.gradient, self.mean, self.square, seen, tree.parents,
            tree.scales, factor, number, rate, hyper.beta1, hyper.beta2, hyper.epsilon, 0,
            self.width,
        )  # fmt: skip


class QLearner:
    """Makes updates, on ``threads`` threads; keeps the arrays it works in."""

    def __init__(self, hyper: Settings, kernels: Backend, dtype: DTypeLike, threads: int) -> None:
        self.hyper, self.kernels, self.dtype, self.threads = hyper, kernels, dtype, threads
        self.tree = hyper.pyramid()
        edges = [*range(0, hyper.hidden, UNITS), hyper.hidden]
        self._parts = [_Part(self, a, b) for a, b in pairwise(edges)]
        workers = min(threads, len(self._parts))
        self._shares = [self._parts[k::workers] for k in range(workers)]
        self._helpers = [_Helper() for _ in self._shares[1:]]

    def learn(
        self,
        replay: Replay,
        parameters: dict[str, Array],
        state: dict[str, Array],
        rate: float,
        halvings: int = 0,
    ) -> dict[str, float]:
        """Make one update, in place.

        rate     : Adam's step size
        halvings : of the frames of an action, in what is kept

        Raises ArithmeticError where a gradient is not finite; all is then as before.
        """
        hyper, parts = self.hyper, self._parts
        returns, gamma, reuse = hyper.returns, hyper.discount(halvings), hyper.reuse
        configured, option = hyper.learning_rate, "--learning-rate"
        if halvings:
            finest = halvings == len(hyper.phases)
            if finest:
                configured, option = hyper.finest_learning_rate, "--finest-learning-rate"
            reuse = (hyper.finest_reuse if finest else hyper.fine_reuse) / 2**halvings
            returns = hyper.fine_returns * 2**halvings
        rng = np.random.default_rng(int(state["updates"][0]))
        inputs = replay.indptr, replay.indices, replay.values
        seen, before = state["seen"], int(state["steps"][0])
        count = max(1, round(reuse * replay.size / hyper.minibatch))
        found = np.zeros((count, 5))

        def minibatch(k: int) -> tuple[bool, tuple[Array, ...], Sample]:
            sample = replay.draw(rng, hyper.minibatch, returns, gamma)
            return (before + k) % hyper.target == 0, inputs, sample

        self._all(_Part.take, parameters, state)
        self._all(_Part.forward, *(following := minibatch(0)))
        for k in range(count):
            sample = following[2]
            heads, later = parts[0].heads.copy(), parts[0].heads_later.copy()
            for part in parts[1:]:
                heads += part.heads
                later += part.heads_later
            dlogit, dvalue, said = td_gradient(heads, later, sample)
            self._all(_Part.backward, inputs, sample.now, seen, dlogit, dvalue)
            squares = np.concatenate([part.squares for part in parts])
            norm = check_finite(float(np.add.accumulate(squares)[-1]), configured, option)
            factor, number = min(1.0, hyper.max_norm / max(norm, 1e-12)), before + k + 1
            step = seen, factor, number, rate
            if k + 1 < count:
                self._all(_Part.go_on, step, *(following := minibatch(k + 1)))
            else:
                self._all(_Part.step, *step)
            found[k] = *said, norm
        self._all(_Part.give, parameters, state)
        state["steps"] += count
        names = ("td_error", "target_variance", "value", "action_gap", "gradient_norm")
        return dict(zip(names, found.mean(axis=0).tolist(), strict=True)) | {"learning_rate": rate}

    def _all(self, work: Callable[..., None], *arguments: Any) -> None:
        """Have it done to every part, on all threads, of which the caller is one."""

        def run(share: Sequence[_Part]) -> None:
            for part in share:
                work(part, *arguments)

        for helper, share in zip(self._helpers, self._shares[1:], strict=True):
            helper.begin(run, share)
        try:
            run(self._shares[0])
        finally:  # no one may go on while a part is being worked on
            failures = [helper.end() for helper in self._helpers]
        for failure in failures:
            if failure is not None:
                raise failure


class _Helper:
    """A thread that does one thing after another; ends when nobody holds this any more.

    Through a thread pool's futures, and with a meeting more, an update of 16 minibatches had 110
    switches of context; it has 70.
    """

    def __init__(self) -> None:
        self._work: SimpleQueue[Any] = SimpleQueue()
        self._done: SimpleQueue[BaseException | None] = SimpleQueue()
        Thread(target=_help, args=(self._work, self._done), name="learner", daemon=True).start()
        finalize(self, self._work.put, None)

    def begin(self, work: Callable[[Any], None], argument: Any) -> None:
        """Have ``work(argument)`` done."""
        self._work.put((work, argument))

    def end(self) -> BaseException | None:
        """Wait until it is; return what it raised."""
        return self._done.get()


def _help(tasks: SimpleQueue[Any], done: SimpleQueue[BaseException | None]) -> None:
    while (task := tasks.get()) is not None:
        work, argument = task
        try:
            work(argument)
            done.put(None)
        except BaseException as failure:
            done.put(failure)


def td_gradient(
    heads: Array, later: Array, sample: Sample
) -> tuple[Array, Array, tuple[float, ...]]:
    """Return the gradient of the mean loss by log odds and values, and what is logged.

    heads : (2, 2 M): log odds and values of the decisions, then of those after, l = 2 A and V
    later : (2, M): the target network's, of those after

    Returns (dlogit (M,), dvalue (M,), (rms error, variance of the targets, mean value, and mean
    |l|, the gap between the actions)).
    """
    size = len(sample.actions)
    # Q(RIGHT) = V + l / 2, Q(LEFT) = V - l / 2
    sign = np.where(sample.actions == 1, 0.5, -0.5)
    better = np.where(heads[0, size:] > 0, 0.5, -0.5)
    target = sample.rewards + sample.discount * (later[1] + better * later[0])
    logit, value = heads[0, :size], heads[1, :size]
    error = value + sign * logit - target
    dvalue = error / size
    said = (
        float(np.sqrt(np.mean(error**2))), float(np.var(target)), float(np.mean(value)),
        float(np.mean(np.abs(logit))),
    )  # fmt: skip
    return (sign * dvalue).astype(heads.dtype), dvalue.astype(heads.dtype), said
