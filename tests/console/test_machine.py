"""Many machines in one call, and what is refused."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from consoles import cartridge

from fastpong.console.games import COVERED
from fastpong.console.machine import Machine, play_all

N, FRAMES = 5, 4


def machines() -> list[Machine]:
    return [Machine(cartridge(), COVERED["pong"], 2_000) for _ in range(N)]


def test_many_machines_play_as_each_alone() -> None:
    together, alone = machines(), machines()
    rng = np.random.default_rng(1)
    rewards, total = np.empty(N, np.int32), 0
    for _ in range(400):
        actions = rng.choice((0, 1, 3, 4), (N, FRAMES)).astype(np.uint8)
        play_all(together, actions, rewards)
        want = [machine.play(row) for machine, row in zip(alone, actions, strict=True)]
        assert rewards.tolist() == want
        total += sum(map(abs, want))
    assert total > 0
    assert [m.save() for m in together] == [m.save() for m in alone]


def test_threads_play_machines_of_their_own() -> None:
    together, alone = machines(), machines()
    actions = np.full((1, FRAMES), 3, np.uint8)

    def play(machine: Machine) -> None:
        for _ in range(200):
            play_all([machine], actions, np.empty(1, np.int32))

    with ThreadPoolExecutor(N) as pool:
        list(pool.map(play, together))
    for machine in alone:
        play(machine)
    assert [m.save() for m in together] == [m.save() for m in alone]


@pytest.mark.parametrize(
    ("actions", "rewards", "message"),
    [
        (np.zeros((N - 1, 4), np.uint8), np.zeros(N, np.int32), "expected 5 rows"),
        (np.zeros((N, 0), np.uint8), np.zeros(N, np.int32), "expected 5 rows of one frame or more"),
        (np.zeros((N, 4), np.uint8), np.zeros(N + 1, np.int32), "expected 5 rows"),
        (np.full((N, 4), 18, np.uint8), np.zeros(N, np.int32), "actions: expected 0 to 17, got 18"),
    ],
)
def test_impossible_calls_are_refused(actions: Any, rewards: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        play_all(machines(), actions, rewards)
    with pytest.raises(TypeError, match="got None"):
        play_all([None], np.zeros((1, 1), np.uint8), np.zeros(1, np.int32))
