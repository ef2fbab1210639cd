"""Kernels of replay buffers compiled by Numba.

The algorithm is that of ``cython/replay.pyx``, which explains it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from fastpong.arrays import Array, Tuple
from fastpong.kernels.numba.cache import F64, I64, U8, Type, helper, kernel, pack, reads, writes

BLOCK = 64
MOST = 2.0**900
STEP, TERMINATED, SAMPLED = 1, 2, 4

F32 = types.float32
STORAGE = pack(writes(U8, 2), writes(U8, 2), writes(F32, 1), writes(U8, 1), writes(U8, 1))
STEPS = pack(
    reads(U8, 2), reads(U8, 2), reads(F32, 1), reads(U8, 1), reads(U8, 1), reads(U8, 2),
    reads(U8, 1),
)  # fmt: skip
BATCH = pack(
    writes(U8, 3), writes(U8, 2), writes(F32, 1), writes(U8, 3), writes(F32, 1), writes(U8, 1)
)

# --- sum tree -------------------------------------------------------------------------------------


@helper
def _levels(capacity: int) -> tuple[int, Array]:
    """Return the number of levels, and their beginnings and widths."""
    levels = np.empty((2, 23), np.int64)
    count, width, at = 2, 1, 0
    while 8 * width < capacity:
        width *= 8
        count += 1
    width *= (capacity + width - 1) // width
    for k in range(count):
        levels[0, k], levels[1, k] = at, width
        at += (width + 7) & ~7
        width = (width + 7) >> 3
    return count, levels


def tree_layout(capacity: int) -> tuple[int, int, int]:
    """Return the numbers of a tree, and the places of its sum and of its minimum."""
    count, levels = _levels(capacity)
    root = int(levels[0, count - 1])
    minima = root + 8 - int(levels[0, 1])
    return root + 8 + minima, root, root + minima


@helper
def _renew(tree: Array, starts: Array, minima: int, k: int, node: int) -> None:
    at, c = starts[k] + node, starts[k - 1] + 8 * node
    tree[at] = ((tree[c] + tree[c + 1]) + (tree[c + 2] + tree[c + 3])) + (
        (tree[c + 4] + tree[c + 5]) + (tree[c + 6] + tree[c + 7])
    )
    least = np.inf
    if k == 1:
        for j in range(c, c + 8):
            value = tree[j] if tree[j] > 0 else np.inf
            least = value if value < least else least
    else:
        for j in range(minima + c, minima + c + 8):
            least = tree[j] if tree[j] < least else least
    tree[minima + at] = least


@kernel(0, lambda F: (writes(F, 1), I64, reads(I64, 1), reads(F, 1)))
def tree_update(tree: Array, capacity: int, indices: Array, priorities: Array) -> int:
    """Store priorities and renew the sums above; the last of equal indices counts.

    Returns the first entry that cannot be stored, and stores none, or -1.
    """
    n = len(indices)
    if len(priorities) != n:
        return 0
    for q in range(n):
        if not (0 <= indices[q] < capacity and 0 <= priorities[q] <= MOST):
            return q
    count, levels = _levels(capacity)
    starts, widths = levels
    minima = starts[count - 1] + 8 - starts[1]
    for q in range(n):
        tree[indices[q]] = priorities[q] + 0.0
    for k in range(1, count):
        if widths[k] <= n:
            for node in range(widths[k]):
                _renew(tree, starts, minima, k, node)
        else:
            for q in range(n):
                _renew(tree, starts, minima, k, indices[q] >> (3 * k))
    return -1


@helper
def _descend_once(tree: Array, start: int, sums: Array, q: int, node: int) -> Any:
    at: Any = start + 8 * node
    rest = sums[q]
    left = (tree[at] + tree[at + 1]) + (tree[at + 2] + tree[at + 3])
    right = np.int64(rest >= left)
    rest -= right * left
    at += 4 * right
    left = tree[at] + tree[at + 1]
    right = np.int64(rest >= left)
    rest -= right * left
    at += 2 * right
    left = tree[at]
    right = np.int64(rest >= left)
    sums[q] = rest - right * left
    return at + right - start


@helper
def _descend(tree: Array, count: int, levels: Array, sums: Array, nodes: Array) -> None:
    last = levels[1, count - 2] - 1
    for q in range(len(nodes)):
        nodes[q] = _descend_once(tree, levels[0, count - 2], sums, q, 0)
        if nodes[q] > last:  # by rounding: the root has fewer children
            nodes[q], sums[q] = last, -1.0
    for k in range(count - 3, -1, -1):
        for q in range(len(nodes)):
            nodes[q] = _descend_once(tree, levels[0, k], sums, q, nodes[q])


@helper
def _descend_to_positive(tree: Array, count: int, starts: Array, rest: float) -> int:
    node = 0
    for k in range(count - 2, -1, -1):
        at = starts[k] + 8 * node
        left = (tree[at] + tree[at + 1]) + (tree[at + 2] + tree[at + 3])
        right = (tree[at + 4] + tree[at + 5]) + (tree[at + 6] + tree[at + 7])
        if rest >= left and right > 0:
            rest -= left
            at += 4
        left, right = tree[at] + tree[at + 1], tree[at + 2] + tree[at + 3]
        if rest >= left and right > 0:
            rest -= left
            at += 2
        if rest >= tree[at] and tree[at + 1] > 0:
            rest -= tree[at]
            at += 1
        node = at - starts[k]
    return node


@helper
def _find(tree: Array, count: int, levels: Array, sums: Array, out: Array) -> None:
    """Write the leaves of at most BLOCK sums."""
    rest = sums.copy()
    _descend(tree, count, levels, rest, out)
    for q in range(len(out)):
        if rest[q] < 0 or not tree[out[q]] > 0:
            out[q] = _descend_to_positive(tree, count, levels[0], sums[q])


@kernel(0, lambda F: (reads(F, 1), I64, reads(F, 1), writes(I64, 1)))
def tree_find(tree: Array, capacity: int, sums: Array, out: Array) -> int:
    """Write the leaf in which each prefix sum lies.

    Returns the first sum that lies outside of the tree, and writes none, or -1.
    """
    n = len(sums)
    if len(out) != n:
        return 0
    count, levels = _levels(capacity)
    total = tree[levels[0, count - 1]]
    for q in range(n):
        if not (total > 0 and 0 <= sums[q] <= total):
            return q
    for first in range(0, n, BLOCK):
        last = min(n, first + BLOCK)
        _find(tree, count, levels, sums[first:last], out[first:last])
    return -1


@kernel(0, lambda F: (reads(F, 1), I64, reads(F, 1), writes(I64, 1), writes(F, 1)))
def tree_sample(
    tree: Array, capacity: int, uniforms: Array, indices: Array, priorities: Array
) -> int:
    """Write a leaf of every one of n equal parts of the sum, and its priority.

    Returns the first uniform number outside of [0, 1), and writes none, or -1.
    """
    n = len(uniforms)
    if len(indices) != n or len(priorities) != n:
        return 0
    count, levels = _levels(capacity)
    total = tree[levels[0, count - 1]]
    for q in range(n):
        if not (total > 0 and 0 <= uniforms[q] < 1):
            return q
    sums = np.empty(BLOCK)
    for first in range(0, n, BLOCK):
        last = min(n, first + BLOCK)
        for q in range(first, last):
            sums[q - first] = (q + uniforms[q]) / n * total
        _find(tree, count, levels, sums[: last - first], indices[first:last])
        for q in range(first, last):
            priorities[q] = tree[indices[q]]
    return -1


# --- replay buffer --------------------------------------------------------------------------------


@helper
def _copy(source: Array, target: Array) -> None:
    """Copy bytes. In place of an assignment, which takes Numba two seconds longer to compile."""
    for j in range(len(target)):
        target[j] = source[j]


@helper
def _differ(one: Array, two: Array) -> bool:
    differ = False
    for j in range(len(one)):
        differ |= one[j] != two[j]
    return differ


@helper
def _push_frame(
    storage: Tuple, head: Array, base: int, slots: int, frame_stack: int, frame: Array, age: int,
    changes: Tuple, count: int,
) -> int:  # fmt: skip
    """Write a frame into the slot after the newest, and return the number of changes."""
    frames, _, _, flags, ages = storage
    newest = head[0] + 1 if head[0] + 1 < slots else 0
    head[0] = newest
    head[1] = min(head[1] + 1, slots)
    for j in range(frame_stack):
        slot = newest + j
        slot = base + (slot if slot < slots else slot - slots)
        if flags[slot] & SAMPLED and ages[slot] >= j:
            flags[slot] = flags[slot] & (255 - SAMPLED)
            changes[0][count], changes[1][count] = slot, 0.0
            count += 1
    _copy(frame, frames[base + newest])
    flags[base + newest] = 0
    ages[base + newest] = age
    return count


@helper
def _push_step(
    storage: Tuple, head: Array, env: int, slots: int, frame_stack: int, steps: Tuple,
    priority: float, changes: Tuple, count: int,
) -> int:  # fmt: skip
    """Store a step of one environment, and return the number of changes."""
    _, actions, rewards, flags, ages = storage
    new, new_actions, new_rewards, terminated, truncated, next_frames, _ = steps
    base = env * slots
    if not head[2]:
        count = _push_frame(storage, head, base, slots, frame_stack, new[env], 0, changes, count)
    slot = base + head[0]
    _copy(new_actions[env], actions[slot])
    rewards[slot] = new_rewards[env]
    age = min(int(ages[slot]) + 1, frame_stack - 1)
    count = _push_frame(
        storage, head, base, slots, frame_stack, next_frames[env], age, changes, count
    )
    flags[slot] = STEP | SAMPLED | (TERMINATED if terminated[env] else 0)
    head[2] = not (terminated[env] or truncated[env])
    changes[0][count], changes[1][count] = slot, priority
    return count + 1


def _add_signature(F: Type) -> tuple[Type, ...]:
    return STORAGE, writes(I64, 2), STEPS, I64, F64, pack(writes(I64, 1), writes(F64, 1))


@kernel(0, _add_signature)
def replay_add(
    storage: Tuple, heads: Array, steps: Tuple, frame_stack: int, priority: float, changes: Tuple
) -> int:
    """Store a step of every environment that is valid.

    Returns the number of changes, or -1 - e where the frame of environment e is not the one after
    its last step, and -1 - N - e where its reward is not finite.
    """
    frames, valid = steps[0], steps[6]
    slots, count = len(storage[0]) // len(heads), 0
    for env in range(len(heads)):
        if valid[env]:
            stored = storage[0][env * slots + heads[env, 0]]
            if heads[env, 2] and _differ(stored, frames[env]):
                return -1 - env
            if not np.isfinite(steps[2][env]):
                return -1 - len(heads) - env
    for env in range(len(heads)):
        if valid[env]:
            count = _push_step(
                storage, heads[env], env, slots, frame_stack, steps, priority, changes, count
            )
    return count


@kernel(3, lambda F: (reads(U8, 1), I64, I64, reads(F, 1), writes(I64, 1)))
def replay_draw(flags: Array, slots: int, used: int, uniforms: Array, out: Array) -> int:
    """Write the slots of uniform numbers, those that may be sampled, and return how many."""
    count, room = 0, used * (len(flags) // slots)
    for q in range(len(uniforms)):
        place = int(uniforms[q] * room)
        place = place // used * slots + place % used
        if flags[place] & SAMPLED:
            out[count] = place
            count += 1
    return count


@helper
def _gather_stack(storage: Tuple, slots: int, zero: bool, slot: int, out: Array) -> None:
    frames, _, _, _, ages = storage
    place, age = slot % slots, int(ages[slot])
    for j in range(len(out)):
        back = len(out) - 1 - j
        if back > age and zero:
            out[j] = 0
        else:
            back = min(back, age)
            _copy(frames[slot - back if place >= back else slot - back + slots], out[j])


@kernel(0, lambda F: (STORAGE, I64, reads(I64, 1), reads(F64, 1), types.boolean, BATCH))
def replay_gather(
    storage: Tuple, slots: int, indices: Array, powers: Array, zero: bool, out: Tuple
) -> None:
    """Write the transitions of some slots, with the returns of at most n steps."""
    _, actions, rewards, flags, _ = storage
    observations, out_actions, returns, next_observations, discounts, terminated = out
    for q in range(len(indices)):
        slot = last = indices[q]
        base, length, total = slot - slot % slots, 0, 0.0
        while length < len(powers) - 1 and flags[slot] & STEP:
            last = slot
            total += powers[length] * np.float64(rewards[slot])
            length += 1
            slot = slot + 1 if slot + 1 < base + slots else base
        terminated[q] = flags[last] & TERMINATED != 0
        discounts[q] = 0.0 if terminated[q] else powers[length]
        returns[q] = total
        _copy(actions[indices[q]], out_actions[q])
        _gather_stack(storage, slots, zero, indices[q], observations[q])
        _gather_stack(storage, slots, zero, slot, next_observations[q])
