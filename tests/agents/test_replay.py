"""The replay buffer against a list of batches."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastpong.acting.rollout import EnvState, Rollout
from fastpong.agents.dqn.replay import INPUTS_PER_STEP, Replay

ENVS, STEPS = 2, 5
SIZE = ENVS * STEPS


def rollout(rng: np.random.Generator, most: int) -> Rollout:
    counts = rng.integers(0, most + 1, STEPS + 1)
    indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return Rollout(
        indptr=indptr,
        indices=rng.integers(0, 60_000, indptr[-1]).astype(np.uint16),
        counts=rng.integers(-9, 9, indptr[-1]).astype(np.int8),
        actions=rng.integers(0, 2, STEPS).astype(np.uint8),
        logits=np.zeros(STEPS),
        values=np.zeros(STEPS + 1),
        rewards=rng.choice([-1.0, 0.0, 0.0, 0.0, 1.0], STEPS).astype(np.float32),
        dones=(rng.random(STEPS) < 0.1).astype(np.uint8),
        games=[],
        frames=0,
        state=EnvState(),
    )


def filled(batches: int, room: int, most: int, seed: int) -> tuple[Replay, list[list[Rollout]]]:
    rng = np.random.default_rng(seed)
    replay = Replay.empty(ENVS, STEPS, room * SIZE)
    past = []
    for _ in range(batches):
        past.append([rollout(rng, most) for _ in range(ENVS)])
        replay.add(past[-1])
    return replay, past


def inputs(replay: Replay, number: int) -> tuple[list[int], list[int]]:
    mine = slice(*replay.indptr[number : number + 2])
    return replay.indices[mine].tolist(), replay.counts[mine].tolist()


def inputs_of(found: Rollout, t: int) -> tuple[list[int], list[int]]:
    mine = slice(*found.indptr[t : t + 2])
    return found.indices[mine].tolist(), found.counts[mine].tolist()


def number(replay: Replay, which: int, place: int) -> int:
    return which % len(replay.starts) * (SIZE + 1) + place


@given(
    st.integers(2, 12), st.integers(4, 9), st.integers(0, INPUTS_PER_STEP), st.integers(1, STEPS),
    st.floats(0, 1), st.integers(0, 2**32),
)  # fmt: skip
def test_what_is_sampled_is_what_was_added(
    batches: int, room: int, most: int, n: int, gamma: float, seed: int
) -> None:
    replay, past = filled(batches, room, most, seed)
    first, end = replay.stored.tolist()
    assert end == batches and end - first <= room and replay.steps == (end - first - 1) * SIZE
    if most <= INPUTS_PER_STEP // 2:
        assert end - first == min(batches, room)
    assert replay.steps
    sample = replay.sample(np.random.default_rng(seed), 40, n, gamma)
    places = {
        number(replay, which, place): (which, place)
        for which in range(first, end - 1)
        for place in range(SIZE)
    }
    for k in range(40):
        which, place = places[int(sample.now[k])]
        env, t = divmod(place, STEPS)
        row = [(past[r][env], j) for r in range(which, end) for j in range(STEPS)][t:]
        assert inputs(replay, int(sample.now[k])) == inputs_of(*row[0])
        assert sample.actions[k] == row[0][0].actions[t]
        returns, discount = 0.0, 1.0
        for found, j in row[:n]:
            returns += discount * float(found.rewards[j])
            discount *= 0.0 if found.rewards[j] or found.dones[j] else gamma
        assert sample.rewards[k] == pytest.approx(returns, rel=1e-12, abs=1e-300)
        assert sample.discount[k] == pytest.approx(discount, rel=1e-12, abs=1e-300)
        assert inputs(replay, int(sample.later[k])) == inputs_of(*row[n])


def test_every_step_but_the_newest_batchs_is_sampled() -> None:
    replay, _ = filled(7, 4, 3, 1)
    sampled = replay.sample(np.random.default_rng(0), 3000, 2, 0.9).now
    assert sorted(set(sampled.tolist())) == sorted(
        number(replay, which, place) for which in (3, 4, 5) for place in range(SIZE)
    )
    counts = np.unique(sampled, return_counts=True)[1]
    assert counts.min() > 60 and counts.max() < 145


@pytest.mark.parametrize("room", [4, 7, 10])
@pytest.mark.parametrize("seed", range(8))
def test_nothing_that_is_stored_is_overwritten(room: int, seed: int) -> None:
    """Batches of very different sizes, so that they meet the array's end everywhere."""
    rng = np.random.default_rng(seed)
    replay = Replay.empty(ENVS, STEPS, room * SIZE)
    past: list[list[Rollout]] = []
    for most in rng.choice([0, 50, 150, 300, 60 * room], 80):
        made = [rollout(rng, most) for _ in range(ENVS)]
        total = sum(int(s.indptr[STEPS]) for s in made)
        before = replay.stored.copy()
        try:
            replay.add(made)
        except MemoryError:
            assert 3 * total > room * SIZE * INPUTS_PER_STEP and np.array_equal(
                replay.stored, before
            )
            continue
        past.append(made)
        first, end = replay.stored.tolist()
        assert end == len(past) and end - first >= min(end, 2)
        for which in range(first, end):
            for place in range(SIZE):
                env, t = divmod(place, STEPS)
                found = inputs(replay, number(replay, which, place))
                assert found == inputs_of(past[which][env], t)


def arrays_of(replay: Replay) -> dict[str, Any]:
    """Return views by the names that a replay buffer takes."""
    return {name.removeprefix("replay/"): array for name, array in replay.arrays().items()}


def test_a_view_reads_what_another_wrote() -> None:
    first = Replay.empty(ENVS, STEPS, 40)
    rng = np.random.default_rng(2)
    for _ in range(3):
        Replay(ENVS, STEPS, arrays_of(first)).add([rollout(rng, 4) for _ in range(ENVS)])
    copies = {name: array.copy() for name, array in arrays_of(first).items()}
    one, other = (
        r.sample(np.random.default_rng(1), 9, 5, 0.9) for r in (first, Replay(ENVS, STEPS, copies))
    )
    assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_one_that_is_used_samples_as_a_new_one_does() -> None:
    """It computes returns once a batch: also when batches go, or returns are others."""
    rng = np.random.default_rng(3)
    used = Replay.empty(ENVS, STEPS, 5 * SIZE)
    for made in range(24):
        used.add([rollout(rng, 4) for _ in range(ENVS)])
        if not used.steps:
            continue
        n, gamma = ((3, 0.9), (STEPS, 0.9), (3, 0.5), (3, 0.9))[made // 6]
        one, other = (
            r.sample(np.random.default_rng(made), 50, n, gamma)
            for r in (used, Replay(ENVS, STEPS, arrays_of(used)))
        )
        assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_where_a_point_ends_no_return_only_an_episode_does() -> None:
    rng = np.random.default_rng(4)
    replay = Replay.empty(ENVS, STEPS, 4 * SIZE)
    past = [[rollout(rng, 4) for _ in range(ENVS)] for _ in range(2)]
    for made in past:
        replay.add(made, point_ends_return=False)
    sample = replay.sample(np.random.default_rng(0), 60, 3, 0.9)
    points = 0
    for k in range(60):
        env, t = divmod(int(sample.now[k]), STEPS)
        steps = [(past[batch][env], j) for batch in range(2) for j in range(STEPS)][t : t + 3]
        returns, discount = 0.0, 1.0
        for found, j in steps:
            returns += discount * float(found.rewards[j])
            discount *= 0.0 if found.dones[j] else 0.9
        assert sample.rewards[k] == pytest.approx(returns, abs=1e-12)
        assert sample.discount[k] == pytest.approx(discount, abs=1e-12)
        points += bool(steps[0][0].rewards[steps[0][1]]) and discount > 0
    assert points > 5


def test_a_batch_without_room_is_refused_and_nothing_written() -> None:
    replay, _ = filled(3, 4, 20, 1)
    before = replay.stored.copy(), replay.indices.copy()
    with pytest.raises(MemoryError, match=r"^replay: expected at most 1280 inputs in a batch"):
        replay.add([rollout(np.random.default_rng(1), 400) for _ in range(ENVS)])
    assert np.array_equal(replay.stored, before[0]) and np.array_equal(replay.indices, before[1])


def test_arrays_that_lead_astray_are_refused() -> None:
    replay, _ = filled(9, 4, 20, 1)
    base = int(replay.indices.max()) + 1
    replay.verify(base)
    for name, place, value in (
        ("indices", 3, base), ("actions", (0, 1), 2), ("stored", 0, -1), ("stored", 0, 9),
        ("stored", 0, 10), ("stored", 1, 10**6), ("starts", (2, 0), -1), ("starts", (1, -1), 10**9),
        ("starts", (1, 4), 10**9),
    ):  # fmt: skip
        array = getattr(replay, name)
        before = array[place].copy()
        array[place] = value
        with pytest.raises(ValueError, match=r"^replay: expected"):
            replay.verify(base)
        array[place] = before
    replay.verify(base)
