"""Sum trees and replay buffers, plainly.

A tree is made anew from its leaves by every update. A search goes down a binary tree of all its
levels. Stacks of frames are taken by a matrix of slots, and returns by a matrix of steps.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastpong.arrays import Array, Doubles, Tuple

MOST = 2.0**900
"""The largest priority. No sum of such ones overflows."""
STEP, TERMINATED, SAMPLED = 1, 2, 4
"""Of a slot: it has a step, which ended its episode, and which may be sampled."""


# --- sum tree -------------------------------------------------------------------------------------


def widths(capacity: int) -> list[int]:
    """Return the widths of all levels, from the leaves to the root.

    The root has as few children as are needed, all other nodes have eight.
    """
    depth = next(depth for depth in range(1, 22) if 8**depth >= capacity)
    children = -(-capacity // 8 ** (depth - 1))
    return [children * 8 ** (depth - 1 - level) for level in range(depth)] + [1]


def tree_layout(capacity: int) -> tuple[int, int, int]:
    """Return the numbers of a tree, and the places of its sum and of its minimum.

    Levels stand one after the other, each filled up to a multiple of 8: sums from the leaves up,
    then minima from the level above the leaves up.
    """
    filled = [-(-width // 8) * 8 for width in widths(capacity)]
    size = sum(filled) + sum(filled[1:])
    return size, sum(filled[:-1]), size - 8


def halves(values: Doubles) -> Doubles:
    """Return the sums of neighbours."""
    return np.asarray(values[0::2] + values[1::2])


def padded(values: Doubles, multiple: int, with_: float = 0.0) -> Doubles:
    """Return the values filled up to a multiple."""
    return np.pad(values, (0, -len(values) % multiple), constant_values=with_)


def tree_update(tree: Doubles, capacity: int, indices: Array, priorities: Array) -> int:
    """Store priorities and make all levels anew.

    Returns the first entry that cannot be stored, and stores none, or -1.
    """
    if len(indices) != len(priorities):
        return 0
    sound = (indices >= 0) & (indices < capacity) & (priorities >= 0) & (priorities <= MOST)
    if not sound.all():
        return int(np.argmin(sound))
    tree[indices] = priorities + 0.0
    levels = [padded(tree[: widths(capacity)[0]], 8)]
    lows = [np.where(levels[0] > 0, levels[0], np.inf)]
    for _ in widths(capacity)[1:]:
        levels.append(padded(halves(halves(halves(levels[-1]))), 8))
        lows.append(padded(lows[-1].reshape(-1, 8).min(axis=1), 8, np.inf))
    tree[:] = np.concatenate([*levels, *lows[1:]])
    return -1


def descend(leaves: Doubles, sums: Doubles) -> NDArray[np.int64]:
    """Return the leaf of every sum, by a binary tree of all levels.

    Right where the sum is not below the left half's, unless the right half sums to 0.
    """
    levels = [leaves]
    while len(levels[-1]) > 1:
        levels.append(halves(padded(levels[-1], 2)))
    node, rest = np.zeros(len(sums), np.int64), sums.copy()
    for level in reversed(levels[:-1]):
        below = padded(level, 2)
        left, right = below[2 * node], below[2 * node + 1]
        turn = (rest >= left) & (right > 0)
        rest = np.where(turn, rest - left, rest)
        node = 2 * node + turn
    return node


def tree_find(tree: Doubles, capacity: int, sums: Doubles, out: Array) -> int:
    """Write the leaf in which each prefix sum lies.

    Returns the first sum that lies outside of the tree, and writes none, or -1.
    """
    if len(sums) != len(out):
        return 0
    total = tree[tree_layout(capacity)[1]]
    sound = (sums >= 0) & (sums <= total) & (total > 0)
    if not sound.all():
        return int(np.argmin(sound))
    out[:] = descend(tree[:capacity], sums)
    return -1


def tree_sample(
    tree: Doubles, capacity: int, uniforms: Doubles, indices: Array, priorities: Array
) -> int:
    """Write a leaf of every one of n equal parts of the sum, and its priority.

    Returns the first uniform number outside of [0, 1), and writes none, or -1.
    """
    n, total = len(uniforms), tree[tree_layout(capacity)[1]]
    if len(indices) != n or len(priorities) != n:
        return 0
    sound = (uniforms >= 0) & (uniforms < 1) & (total > 0)
    if not sound.all():
        return int(np.argmin(sound))
    sums = (np.arange(n) + uniforms) / max(n, 1) * total
    indices[:] = descend(tree[:capacity], sums)
    priorities[:] = tree[indices]
    return -1


# --- replay buffer --------------------------------------------------------------------------------


def replay_add(
    storage: Tuple, heads: Array, steps: Tuple, frame_stack: int, priority: float, changes: Tuple
) -> int:
    """Store a step of every environment that is valid.

    Returns the number of changes: of slots and their priorities, 0 where a slot may no longer be
    sampled. Or -1 - e where the frame of environment e is not the one after its last step, and
    -1 - N - e where its reward is not finite.
    """
    frames, valid = steps[0], steps[6]
    slots, found = len(storage[0]) // len(heads), []
    for env in np.flatnonzero(valid):
        newest, _, open_ = heads[env]
        if open_ and not np.array_equal(storage[0][env * slots + newest], frames[env]):
            return -1 - int(env)
        if not np.isfinite(steps[2][env]):
            return -1 - len(heads) - int(env)
    for env in np.flatnonzero(valid):
        mine = slice(env * slots, (env + 1) * slots)
        one = tuple(array[mine] for array in storage)
        step = tuple(array[env] for array in steps)
        slot, dropped = add_one(one, heads[env], step, frame_stack)
        found += [(mine.start + other, 0.0) for other in dropped]
        found.append((mine.start + slot, priority))
    for k, change in enumerate(found):
        changes[0][k], changes[1][k] = change
    return len(found)


def add_one(storage: Tuple, head: Array, step: Tuple, frame_stack: int) -> tuple[int, list[int]]:
    """Store a step of one environment.

    head : its newest slot, its slots in use, whether its episode goes on

    Returns the slot of the step, and those that may no longer be sampled.
    """
    frames, actions, rewards, flags, ages = storage
    frame, action, reward, terminated, truncated, next_frame, _ = step
    before = flags & SAMPLED != 0
    for new, place in ((frame, 0), (next_frame, 1)):
        if place or not head[2]:
            age = min(ages[head[0]] + 1, frame_stack - 1) if place else 0
            if place:
                slot = int(head[0])
                actions[slot], rewards[slot] = action, reward
            head[:2] = (head[0] + 1) % len(flags), min(head[1] + 1, len(flags))
            frames[head[0]], flags[head[0]], ages[head[0]] = new, 0, age
    flags[slot] = STEP | SAMPLED | TERMINATED * bool(terminated)
    head[2] = not (terminated or truncated)
    # A stack is whole unless it reaches back before the oldest slot.
    oldest = (head[0] + 1) % len(flags) if head[1] == len(flags) else 0
    rank = (np.arange(len(flags)) - oldest) % len(flags)
    flags[rank < ages] &= 255 - SAMPLED
    replaced = before & (np.arange(len(flags)) == slot)
    return slot, np.flatnonzero(replaced | before & (flags & SAMPLED == 0)).tolist()


def replay_draw(flags: Array, slots: int, used: int, uniforms: Doubles, out: Array) -> int:
    """Write the slots of uniform numbers, those that may be sampled, and return how many."""
    room = np.arange(len(flags)).reshape(-1, slots)[:, :used].reshape(-1)
    found = room[(uniforms * len(room)).astype(np.int64)]
    found = found[flags[found] & SAMPLED != 0]
    out[: len(found)] = found
    return len(found)


def stacks(storage: Tuple, slots: int, indices: Array, zero: bool, frame_stack: int) -> Array:
    """Return the stacks that end with some slots: (B, frame_stack, bytes of a frame)."""
    frames, *_, ages = storage
    back = np.arange(frame_stack)[::-1]
    inside = np.minimum(back, ages[indices, None])
    first = (indices - indices % slots)[:, None]
    found: Array = frames[first + (indices[:, None] - first - inside) % slots]
    found[(back > ages[indices, None]) & zero] = 0
    return found


def replay_gather(
    storage: Tuple, slots: int, indices: Array, powers: Doubles, zero: bool, out: Tuple
) -> None:
    """Write the transitions of some slots, with the returns of at most n steps."""
    _, actions, rewards, flags, _ = storage
    observations, out_actions, returns, next_observations, discounts, terminated = out
    first = indices - indices % slots
    after = first[:, None] + (indices - first)[:, None] + np.arange(len(powers))
    after = first[:, None] + (after - first[:, None]) % slots
    going = np.logical_and.accumulate(flags[after[:, :-1]] & STEP != 0, axis=1)
    length, each = going.sum(axis=1), np.arange(len(indices))
    total = np.zeros(len(indices))
    for k in range(len(powers) - 1):
        total += np.where(going[:, k], powers[k] * rewards[after[:, k]].astype(np.float64), 0.0)
    returns[:] = total
    terminated[:] = flags[after[each, length - 1]] & TERMINATED != 0
    discounts[:] = np.where(terminated, 0.0, powers[length])
    out_actions[:] = actions[indices]
    observations[:] = stacks(storage, slots, indices, zero, observations.shape[1])
    later = after[each, length]
    next_observations[:] = stacks(storage, slots, later, zero, observations.shape[1])
