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


def test_a_paddle_turned_by_hand_stays_and_actions_go_on_from_there() -> None:
    """Paddle 0 is nobody's in Pong's game for one player, paddle 1 the player's."""
    machine, other = (Machine(cartridge(), COVERED["pong"], 10**6) for _ in range(2))
    machine.turn(0, 0.0)
    screens = np.empty((2, *machine.screen_shape), np.uint8)
    for _ in range(100):
        for player, screen in zip((machine, other), screens, strict=True):
            player.play(bytes((3,)))
            player.read_screen(screen)
        assert np.array_equal(*screens)
    machine.turn(1, 1.0)
    machine.play(bytes(40))
    machine.read_screen(screens[0])
    assert not (screens[0][34:180, 140:144] == 200).any()
    machine.play(bytes((3,)) * 20)
    machine.read_screen(screens[0])
    assert (screens[0][34:180, 140:144] == 200).any()


def test_select_leads_to_the_next_game_and_reset_begins_it() -> None:
    machine = Machine(cartridge(), COVERED["pong"], 10**6)
    number = machine.read_ram()[22]
    machine.hold(select=True)
    machine.play(bytes(4))
    machine.hold()
    machine.play(bytes(4))
    assert machine.read_ram()[22] == number + 1
    machine.hold(reset=True)
    machine.play(bytes(12))
    machine.hold()
    ball = [machine.act(0) for _ in range(400)]
    assert sum(ball) < 0  # it plays


def test_the_winner_serves_by_the_button_in_the_game_for_two() -> None:
    def points(button0: bool, button1: bool) -> int:
        machine = Machine(cartridge(), COVERED["pong"], 10**6)
        for switch in ("select", "select", "reset"):
            machine.hold(**{switch: True})
            machine.play(bytes(12))
            machine.hold()
            machine.play(bytes(4))
        machine.turn(0, 0.0)
        scored = 0
        for frame in range(1500):
            pressed = frame % 100 == 0
            scored += abs(machine.act(0, button0=button0 and pressed, button1=button1 and pressed))
        return scored

    assert points(False, False) == 1
    assert points(True, False) == 1  # the left player has lost the first point
    assert points(False, True) > 3


@pytest.mark.parametrize(("paddle", "share"), [(-1, 0.5), (4, 0.5), (0, -0.1), (0, 1.1)])
def test_impossible_turns_are_refused(paddle: int, share: float) -> None:
    machine = Machine(cartridge(), COVERED["pong"], 10)
    with pytest.raises(ValueError, match="expected 0 to 3 and 0 to 1"):
        machine.turn(paddle, share)
