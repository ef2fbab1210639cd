"""Sum trees and replay buffers of other packages beside fastpong's, all filled alike.

What is not installed is left out.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastpong.kernels import Prioritized, ReplayBuffer, SumTree

Array = NDArray[Any]

LEAVES = (131_072, 1 << 20)
BATCHES = (32, 256)
STACK, EPISODE = 4, 500
OURS = "fastpong"
DRAWS = 64
"""Batches of indices that are set in turn."""


# --- trees --------------------------------------------------------------------------------------


@dataclass
class Tree:
    """A filled tree.

    call : sets the priorities of the k-th batch, and samples one
    find : returns the leaf of a sum, where the package offers that
    """

    name: str
    call: Callable[[int], object]
    find: Callable[[float], int] | None = None


def trees(leaves: int, batch: int) -> list[Tree]:
    """Return all trees that are installed, with the same priorities."""
    rng = np.random.default_rng(0)
    priorities = rng.random(leaves)
    draws = [(rng.integers(0, leaves, batch), rng.random(batch)) for _ in range(DRAWS)]
    makers = (_fastpong, _numba, _sumtree, _tianshou, _rlox, _cpprb)
    found = []
    for maker in makers:
        with suppress(ImportError):
            found.append(maker(priorities, draws, batch))
    return found


def _fastpong(priorities: Array, draws: Any, batch: int, backend: str = "cython") -> Tree:
    tree, rng = SumTree(len(priorities), backend), np.random.default_rng(1)
    tree.update(np.arange(len(priorities)), priorities)

    def call(k: int) -> None:
        tree.update(*draws[k % DRAWS])
        tree.sample(batch, rng)

    return Tree(f"{OURS}, {backend}", call, lambda total: int(tree.find(np.array([total]))[0]))


def _numba(priorities: Array, draws: Any, batch: int) -> Tree:
    return _fastpong(priorities, draws, batch, "numba")


def _sumtree(priorities: Array, draws: Any, batch: int) -> Tree:
    from sumtree import SumTree as RustTree

    tree = RustTree(len(priorities))
    for priority in priorities.tolist():
        tree.add(priority)
    lists = [(indices.tolist(), values.tolist()) for indices, values in draws]

    def call(k: int) -> None:
        tree.update_batched(*lists[k % DRAWS])
        tree.sample_batched(batch)

    return Tree("sumtree", call, lambda total: int(tree.get(total)[0]))


def _tianshou(priorities: Array, draws: Any, batch: int) -> Tree:
    from tianshou.data.utils.segtree import SegmentTree

    tree, rng = SegmentTree(len(priorities)), np.random.default_rng(1)
    tree[np.arange(len(priorities))] = priorities

    def call(k: int) -> None:
        indices, values = draws[k % DRAWS]
        tree[indices] = values
        tree.get_prefix_sum_idx(rng.random(batch) * tree.reduce())

    return Tree("Tianshou", call, lambda total: int(tree.get_prefix_sum_idx(total)))


def _rlox(priorities: Array, draws: Any, batch: int) -> Tree:
    from rlox import PrioritizedReplayBuffer

    buffer, row = PrioritizedReplayBuffer(len(priorities), 1, 1, 1.0), np.zeros(1, np.float32)
    for priority in priorities.tolist():
        buffer.push(row, row, 0.0, False, False, priority=priority)
    unsigned = [(indices.astype(np.uint64), values) for indices, values in draws]

    def call(k: int) -> None:
        buffer.update_priorities(*unsigned[k % DRAWS])
        buffer.sample(batch, k)

    return Tree("rlox, whole buffer", call)


def _cpprb(priorities: Array, draws: Any, batch: int) -> Tree:
    from cpprb import PrioritizedReplayBuffer

    buffer = PrioritizedReplayBuffer(len(priorities), {"obs": {}}, alpha=1.0)
    buffer.add(obs=np.zeros(len(priorities)), priorities=priorities)

    def call(k: int) -> None:
        buffer.update_priorities(*draws[k % DRAWS])
        buffer.sample(batch)

    return Tree("cpprb, whole buffer", call)


# --- buffers ------------------------------------------------------------------------------------


@dataclass
class Buffer:
    """A buffer to fill and to sample.

    given  : makes the arguments of step t
    add    : stores them
    sample : returns a batch of tensors, or of arrays that tensors can be views of
    stacks : returns a batch's observations and the next ones, (n, 4, 84, 84)
    nbytes : of the buffer, where the package tells
    """

    name: str
    given: Callable[[int], tuple[Any, ...]]
    add: Callable[..., object]
    sample: Callable[[int], Any]
    stacks: Callable[[Any], tuple[Array, Array]]
    nbytes: int = 0


_NOISE = np.random.default_rng(0).integers(0, 256, (257, 84, 84), np.uint8)


def frame(t: int) -> Array:
    """Return the frame that step t begins with: noise, and t in its first bytes."""
    found = _NOISE[t % len(_NOISE)].copy()
    found[0, :4] = np.frombuffer(np.int32(t).tobytes(), np.uint8)
    return found


def stack(t: int) -> Array:
    """Return the observation of step t, (4, 84, 84)."""
    start = t - t % EPISODE
    return np.stack([frame(max(start, t - back)) for back in range(STACK - 1, -1, -1)])


def stack_after(t: int) -> Array:
    """Return the observation after step t, also where that ends an episode."""
    return np.concatenate([stack(t)[1:], frame(t + 1)[None]])


def check(buffer: Buffer, batch: int) -> None:
    """Raise AssertionError unless sampled stacks are those of their steps."""
    now, later = buffer.stacks(buffer.sample(batch))
    newest = np.ascontiguousarray(now[:, -1, 0, :4]).view(np.int32)[:, 0].tolist()
    assert len(newest) == batch and len(set(newest)) > 1
    for t, one, two in zip(newest, now, later, strict=True):
        np.testing.assert_array_equal(one, stack(t))
        np.testing.assert_array_equal(two, stack_after(t))


def buffers(capacity: int) -> list[Buffer]:
    """Return the buffers that are installed, empty."""
    makers = (_ours, _ours_given, _ours_by_priority, _sb3, _cpprb_frames, _cpprb_stacks)
    found = []
    for maker in makers:
        with suppress(ImportError):
            found.append(maker(capacity))
    return found


def _ends(t: int) -> bool:
    return t % EPISODE == EPISODE - 1


def _one_frame(t: int) -> tuple[Any, ...]:
    no, end = np.array([False]), np.array([_ends(t)])
    return frame(t)[None], np.array([t % 6]), np.zeros(1, np.float32), end, no, frame(t + 1)[None]


def _pair(batch: Any) -> tuple[Array, Array]:
    return np.asarray(batch.observations), np.asarray(batch.next_observations)


def _ours(capacity: int) -> Buffer:
    buffer = ReplayBuffer(capacity, (84, 84), seed=1)
    return Buffer(OURS, _one_frame, buffer.add, buffer.sample, _pair, buffer.nbytes)


def _ours_given(capacity: int) -> Buffer:
    buffer = ReplayBuffer(capacity, (84, 84), seed=1)
    out = {size: buffer.batch(size) for size in BATCHES}

    def sample(size: int) -> Any:
        return buffer.sample(size, out=out[size])

    return Buffer(f"{OURS}, out=", _one_frame, buffer.add, sample, _pair, buffer.nbytes)


def _ours_by_priority(capacity: int) -> Buffer:
    buffer = ReplayBuffer(capacity, (84, 84), seed=1, prioritized=Prioritized())

    def sample(size: int) -> Any:
        batch = buffer.sample(size)
        buffer.update_priorities(batch.indices, batch.weights)
        return batch

    name = f"{OURS}, by priority, and update"
    return Buffer(name, _one_frame, buffer.add, sample, _pair, buffer.nbytes)


def _sb3(capacity: int) -> Buffer:
    from gymnasium import spaces
    from stable_baselines3.common.buffers import ReplayBuffer as Theirs
    from torch import set_num_threads

    set_num_threads(1)
    screens, actions = spaces.Box(0, 255, (STACK, 84, 84), np.uint8), spaces.Discrete(6)
    buffer = Theirs(capacity, screens, actions, device="cpu")

    def given(t: int) -> tuple[Any, ...]:
        numbers = np.array([t % 6]), np.zeros(1), np.array([_ends(t)])
        return stack(t)[None], stack_after(t)[None], *numbers, [{}]

    size = buffer.observations.nbytes + buffer.next_observations.nbytes
    return Buffer("SB3", given, buffer.add, buffer.sample, _pair, size)


def _cpprb_frames(capacity: int) -> Buffer:
    return _cpprb_of("cpprb, stack_compress", capacity, stack_compress="obs")


def _cpprb_stacks(capacity: int) -> Buffer:
    return _cpprb_of("cpprb", capacity)


def _cpprb_of(name: str, capacity: int, **settings: Any) -> Buffer:
    from cpprb import ReplayBuffer as Theirs

    fields = {"obs": {"shape": (84, 84, STACK), "dtype": np.uint8}, "act": {"dtype": np.int64}}
    buffer = Theirs(capacity, fields | {"rew": {}, "done": {}}, next_of="obs", **settings)

    def given(t: int) -> tuple[Any, ...]:
        return np.moveaxis(stack(t), 0, -1), np.moveaxis(stack_after(t), 0, -1), t % 6, _ends(t)

    def add(now: Array, later: Array, action: int, end: bool) -> None:
        buffer.add(obs=now, next_obs=later, act=action, rew=0.0, done=end)
        if end:
            buffer.on_episode_end()

    def stacks(batch: Any) -> tuple[Array, Array]:
        return np.moveaxis(batch["obs"], -1, 1), np.moveaxis(batch["next_obs"], -1, 1)

    return Buffer(name, given, add, buffer.sample, stacks)
