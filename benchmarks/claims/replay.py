"""Claim: the sum tree and the replay buffer, against those of other packages."""

from __future__ import annotations

import itertools

import numpy as np
from cases.replay_calls import BATCHES, LEAVES, OURS, STACK, Buffer, Tree, buffers, check, trees
from measure import Effort, Figure, Report, Table, alternate, figure, quartiles, ratios, seconds_of

# rounds, calls of an arm in a round, leaves of trees, frames in a buffer
PLAN = {
    "quick": (1, 1, (2_000,), 600),
    "normal": (20, 50, LEAVES, 10_000),
    "full": (80, 100, LEAVES, 10_000),
}

HOW = f"""\
Trees: a call sets the priorities of a batch and samples one of the same size, other indices each
time. All trees hold the same priorities, and a thousand searches agree before. Priorities come as
NumPy arrays, for `sumtree` as lists made beforehand. rlox and cpprb have no tree but buffers, here
with one number in a row. Buffers: {STACK} stacked frames of 84x84 bytes, episodes of 500 steps.
Every stack of a sample is compared with its frames before. `sample` gives tensors, or arrays that
`torch.from_numpy` takes without a copy. SB3 and cpprb store stacks, fastpong and
`cpprb, stack_compress` frames. `out=`: the batch is given, else each call allocates one. An arm's
time in a round is the mean of its calls. What is not installed is left out."""


def measure(effort: Effort) -> Report:
    """Check, then measure."""
    rounds, calls, leaves, frames = PLAN[effort]
    figures, tables = [], []
    for size, batch in itertools.product(leaves, BATCHES):
        arms = trees(size, batch)
        _compare(arms, size)
        found, table = _trees(arms, f"{size:,} leaves, batch {batch}", rounds, calls)
        figures.append(found)
        tables.append(table)
    held = buffers(frames)
    tables.append(_fill(held, frames))
    for batch in BATCHES:
        for buffer in held:
            check(buffer, batch)
        found_all, table = _samples(held, batch, rounds, max(1, calls // 10))
        figures += found_all
        tables.append(table)
    return Report("Replay", HOW, [*figures, *_memory(held, frames)], tables)


def _compare(arms: list[Tree], leaves: int) -> None:
    """Raise AssertionError unless the trees find the same leaves."""
    finders = [tree.find for tree in arms if tree.find is not None]
    for total in np.random.default_rng(2).random(1000) * 0.45 * leaves:
        # Sums are rounded in other places: a search may end beside the leaf.
        found = [find(float(total)) for find in finders]
        assert max(found) - min(found) <= 1


def _table(title: str, times: dict[str, list[float]]) -> Table:
    rows = []
    for name, values in times.items():
        low, middle, high = (f"{1e6 * value:,.2f}" for value in quartiles(values))
        rows.append([name, f"{1e6 * min(values):,.2f}", middle, low, high])
    return Table(f"{title}, µs", ["", "least", "median", "lower quartile", "upper"], rows)


def _trees(arms: list[Tree], what: str, rounds: int, calls: int) -> tuple[Figure, Table]:
    counter = itertools.count()

    def arm(tree: Tree) -> float:
        return seconds_of(lambda: tree.call(next(counter)), calls)

    times = alternate({tree.name: lambda t=tree: arm(t) for tree in arms}, rounds)  # type: ignore[misc]
    ours = times[arms[0].name]
    others = {name: values for name, values in times.items() if not name.startswith(OURS)}
    if not others:
        found = figure(f"update and sample, {what}", [1e6 * s for s in ours], "µs")
    else:
        fastest = min(others, key=lambda name: quartiles(others[name])[1])
        found = figure(f"{fastest} / SumTree, {what}", ratios(others[fastest], ours), at_least=1.0)
    return found, _table(f"Update and sample, {what}", times)


def _fill(held: list[Buffer], frames: int) -> Table:
    """Fill all buffers in turn, and return what a step takes."""
    times: dict[str, list[float]] = {buffer.name: [] for buffer in held}
    for t in range(frames + frames // 2):
        for buffer in held:
            arguments = buffer.given(t)
            times[buffer.name].append(seconds_of(lambda b=buffer, a=arguments: b.add(*a)))  # type: ignore[misc]
    return _table("Adding a step", times)


def _samples(held: list[Buffer], batch: int, rounds: int, calls: int) -> tuple[list[Figure], Table]:
    arms = {
        buffer.name: lambda b=buffer: seconds_of(lambda: b.sample(batch), calls)  # type: ignore[misc]
        for buffer in held
    }
    times = alternate(arms, rounds)
    figures = [
        figure(f"{name} / ReplayBuffer, batch {batch}", ratios(values, times[OURS]), at_least=2.0)
        for name, values in times.items()
        if not name.startswith(OURS)
    ]
    return figures, _table(f"Sampling a batch of {batch}", times)


def _memory(held: list[Buffer], frames: int) -> list[Figure]:
    stacked = frames * STACK * 84 * 84
    found = [Figure("memory / that of stacked frames", held[0].nbytes / stacked, at_most=0.251)]
    found += [
        Figure(f"{buffer.name}'s memory / ReplayBuffer's", buffer.nbytes / held[0].nbytes)
        for buffer in held
        if buffer.nbytes and not buffer.name.startswith(OURS)
    ]
    return found
