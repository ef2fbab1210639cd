"""The replay against a list of rounds kept by plain means."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastpong.acting.rollout import EnvState, Rollout
from fastpong.agents.dqn.replay import ENTRIES, Replay

LANES, STEPS = 2, 5
SIZE = LANES * STEPS


def segment(rng: np.random.Generator, most: int) -> Rollout:
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


def filled(rounds: int, room: int, most: int, seed: int) -> tuple[Replay, list[list[Rollout]]]:
    rng = np.random.default_rng(seed)
    replay = Replay(Replay.initial(LANES, STEPS, room * SIZE), LANES, STEPS)
    past = []
    for _ in range(rounds):
        past.append([segment(rng, most) for _ in range(LANES)])
        replay.put(past[-1])
    return replay, past


def inputs(replay: Replay, number: int) -> tuple[list[int], list[int]]:
    mine = slice(*replay.indptr[number : number + 2])
    return replay.indices[mine].tolist(), replay.values[mine].tolist()


def inputs_of(found: Rollout, t: int) -> tuple[list[int], list[int]]:
    mine = slice(*found.indptr[t : t + 2])
    return found.indices[mine].tolist(), found.counts[mine].tolist()


def number(replay: Replay, which: int, place: int) -> int:
    return which % len(replay.starts) * (SIZE + 1) + place


@given(
    st.integers(2, 12), st.integers(4, 9), st.integers(0, ENTRIES), st.integers(1, STEPS),
    st.floats(0, 1), st.integers(0, 2**32),
)  # fmt: skip
def test_what_is_drawn_is_what_was_put(
    rounds: int, room: int, most: int, n: int, gamma: float, seed: int
) -> None:
    replay, past = filled(rounds, room, most, seed)
    first, end = replay.kept.tolist()
    assert end == rounds and end - first <= room and replay.decisions == (end - first - 1) * SIZE
    if most <= ENTRIES // 2:
        assert end - first == min(rounds, room)
    assert replay.decisions
    sample = replay.draw(np.random.default_rng(seed), 40, n, gamma)
    places = {
        number(replay, which, place): (which, place)
        for which in range(first, end - 1)
        for place in range(SIZE)
    }
    for k in range(40):
        which, place = places[int(sample.now[k])]
        lane, t = divmod(place, STEPS)
        row = [(past[r][lane], j) for r in range(which, end) for j in range(STEPS)][t:]
        assert inputs(replay, int(sample.now[k])) == inputs_of(*row[0])
        assert sample.actions[k] == row[0][0].actions[t]
        returns, discount = 0.0, 1.0
        for found, j in row[:n]:
            returns += discount * float(found.rewards[j])
            discount *= 0.0 if found.rewards[j] or found.dones[j] else gamma
        assert sample.rewards[k] == pytest.approx(returns, rel=1e-12, abs=1e-300)
        assert sample.discount[k] == pytest.approx(discount, rel=1e-12, abs=1e-300)
        assert inputs(replay, int(sample.later[k])) == inputs_of(*row[n])


def test_every_decision_but_the_newest_rounds_is_drawn() -> None:
    replay, _ = filled(7, 4, 3, 1)
    drawn = replay.draw(np.random.default_rng(0), 3000, 2, 0.9).now
    assert sorted(set(drawn.tolist())) == sorted(
        number(replay, which, place) for which in (3, 4, 5) for place in range(SIZE)
    )
    counts = np.unique(drawn, return_counts=True)[1]
    assert counts.min() > 60 and counts.max() < 145


@pytest.mark.parametrize("room", [4, 7, 10])
@pytest.mark.parametrize("seed", range(8))
def test_nothing_that_is_kept_is_overwritten(room: int, seed: int) -> None:
    """Rounds of very different sizes, so that they meet the array's end everywhere."""
    rng = np.random.default_rng(seed)
    replay = Replay(Replay.initial(LANES, STEPS, room * SIZE), LANES, STEPS)
    past: list[list[Rollout]] = []
    for most in rng.choice([0, 50, 150, 300, 60 * room], 80):
        made = [segment(rng, most) for _ in range(LANES)]
        total = sum(int(s.indptr[STEPS]) for s in made)
        before = replay.kept.copy()
        try:
            replay.put(made)
        except MemoryError:
            assert 3 * total > room * SIZE * ENTRIES and np.array_equal(replay.kept, before)
            continue
        past.append(made)
        first, end = replay.kept.tolist()
        assert end == len(past) and end - first >= min(end, 2)
        for which in range(first, end):
            for place in range(SIZE):
                lane, t = divmod(place, STEPS)
                found = inputs(replay, number(replay, which, place))
                assert found == inputs_of(past[which][lane], t)


def test_a_view_reads_what_another_wrote() -> None:
    state: dict[str, Any] = Replay.initial(LANES, STEPS, 40)
    rng = np.random.default_rng(2)
    for _ in range(3):
        Replay(state, LANES, STEPS).put([segment(rng, 4) for _ in range(LANES)])
    again = Replay({name: array.copy() for name, array in state.items()}, LANES, STEPS)
    one, other = (
        r.draw(np.random.default_rng(1), 9, 5, 0.9) for r in (Replay(state, LANES, STEPS), again)
    )
    assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_one_that_is_kept_draws_as_a_new_one_does() -> None:
    """It makes returns once a round: also when rounds go, are forgotten, or returns are others."""
    rng = np.random.default_rng(3)
    state: dict[str, Any] = Replay.initial(LANES, STEPS, 5 * SIZE)
    kept = Replay(state, LANES, STEPS)
    for made in range(24):
        kept.put([segment(rng, 4) for _ in range(LANES)])
        if made in (9, 15):
            kept.forget()
        if not kept.decisions:
            continue
        n, gamma = ((3, 0.9), (STEPS, 0.9), (3, 0.5), (3, 0.9))[made // 6]
        one, other = (
            r.draw(np.random.default_rng(made), 50, n, gamma)
            for r in (kept, Replay(state, LANES, STEPS))
        )
        assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
    assert kept.is_of(state) and not kept.is_of({n: a.copy() for n, a in state.items()})


def test_a_round_without_room_is_refused_and_nothing_written() -> None:
    replay, _ = filled(3, 4, 20, 1)
    before = replay.kept.copy(), replay.indices.copy()
    with pytest.raises(MemoryError, match=r"^replay: expected at most 1280 inputs in a round"):
        replay.put([segment(np.random.default_rng(1), 400) for _ in range(LANES)])
    assert np.array_equal(replay.kept, before[0]) and np.array_equal(replay.indices, before[1])


def test_arrays_that_lead_astray_are_refused() -> None:
    replay, _ = filled(9, 4, 20, 1)
    base = int(replay.indices.max()) + 1
    replay.verify(base)
    for name, place, value in (
        ("indices", 3, base), ("actions", (0, 1), 2), ("kept", 0, -1), ("kept", 0, 9),
        ("kept", 0, 10), ("kept", 1, 10**6), ("starts", (2, 0), -1), ("starts", (1, -1), 10**9),
        ("starts", (1, 4), 10**9),
    ):  # fmt: skip
        array = getattr(replay, name)
        before = array[place].copy()
        array[place] = value
        with pytest.raises(ValueError, match=r"^replay: expected"):
            replay.verify(base)
        array[place] = before
    replay.verify(base)
