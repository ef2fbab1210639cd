"""A person's hand: keys and mouse, and the paddle that they turn on the console."""

from __future__ import annotations

import numpy as np
import pytest
from training_cases import stages_of

from fastpong import kernels
from fastpong.agents.protocol import Chance
from fastpong.console.cartridge import EmulatorError
from fastpong.envs import choice
from fastpong.envs.draws import EVAL
from fastpong.training.evaluation import Player
from fastpong.viewing import duel
from fastpong.viewing.duel import Duel, Solo
from fastpong.viewing.games import Moment, Watcher
from fastpong.viewing.hand import Hand
from fastpong.viewing.keys import Key

pytest.importorskip("fastpong.console.machine")

LEFT, RIGHT, BALL = 56, 200, 14
FRAMES = 108_000


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def middle(screen: np.ndarray, colour: int) -> float:
    """Return the middle row of a paddle."""
    columns = slice(16, 20) if colour == LEFT else slice(140, 144)
    rows = 34 + np.flatnonzero((screen[34:194, columns] == colour).any(axis=1))
    return float(rows.mean())


def test_a_tap_turns_for_a_moment_where_releases_are_unknown() -> None:
    clock = Clock()
    hand = Hand(clock=clock)
    assert hand.obey(Key("up"))
    first = hand.frame()
    assert first == pytest.approx(0.48)
    clock.now = 0.14
    assert hand.frame() < first
    clock.now = 0.16
    rest = hand.frame()
    assert hand.frame() == rest
    hand.obey(Key("s"))
    assert hand.frame() > rest


def test_a_key_that_tells_is_held_until_it_is_released() -> None:
    clock = Clock()
    hand = Hand(releases=True, clock=clock)
    hand.obey(Key("down"))
    clock.now = 10
    assert [round(hand.frame(), 2) for _ in range(3)] == [0.52, 0.54, 0.56]
    hand.obey(Key("up", released=True))  # another key
    assert hand.frame() == pytest.approx(0.58)
    hand.obey(Key("down", released=True))
    assert hand.frame() == pytest.approx(0.58)


def test_the_way_has_ends_and_other_keys_are_others() -> None:
    hand = Hand(releases=True)
    hand.obey(Key("up"))
    assert [hand.frame() for _ in range(60)][-1] == 0
    hand.obey(Key("mouse", height=7.0))
    assert hand.frame() == 1
    for name in ("q", " ", "left", "escape"):
        assert not hand.obey(Key(name))


@pytest.mark.parametrize("row", [60, 100, 140, 170])
def test_the_paddle_is_where_the_mouse_is(row: int) -> None:
    hand = Hand()
    hand.obey(Key("mouse", height=row / 210))
    solo = next(m for m in Solo(hand, FRAMES).game(0) if m.frame == 30)
    assert middle(solo.screen, RIGHT) == pytest.approx(row, abs=3)
    both = Duel(hand, FRAMES)
    both.reset_game()
    both.play(bytes(30))
    screen = np.empty(both.screen_shape, np.uint8)
    both.read_screen(screen)
    assert middle(screen, LEFT) == pytest.approx(row, abs=3)


def follow(moment: Moment, hand: Hand) -> None:
    """Play as a person who never misses."""
    rows, _ = np.nonzero(moment.screen[34:194] == BALL)
    if len(rows):
        hand.obey(Key("mouse", height=(34 + rows.mean()) / 210))


def test_a_person_at_the_right_plays_the_computer_to_the_end() -> None:
    hand = Hand()
    for moment in Solo(hand, FRAMES).game(0):
        if sum(moment.score) < 5:
            follow(moment, hand)
        else:
            hand.obey(Key("mouse", height=0.0))
        assert moment.thought is None
    left, right = moment.score
    assert left == 21
    assert right < 21
    assert moment.frame == moment.step < FRAMES


def watcher(machine: Duel) -> Watcher:
    env = "PongDeterministic-v4"
    stages = tuple(stages_of("karpathy", env=env, hidden=4))
    (stage,) = Player(env, stages, 0, kernels.get_backend().name, "float32", 0).plan().stages
    return Watcher(stage, stage.spec.initial_parameters(0), Chance(0, EVAL), machine)


def test_a_person_at_the_left_plays_the_agent_and_points_are_served() -> None:
    hand = Hand()
    games = watcher(Duel(hand, FRAMES))
    away, longest = 0, 0
    for moment in games.game(0):
        assert moment.thought is not None
        follow(moment, hand)
        away = 0 if (moment.screen[34:194] == BALL).any() else away + 1
        longest = max(longest, away)
    # An agent that has learned nothing loses to a person who never misses.
    assert moment.score[0] == 21
    assert moment.score[1] < 5
    assert longest <= 64
    second = next(games.game(1))
    assert second.score == (0, 0)


def test_the_agents_paddle_is_turned_by_its_actions() -> None:
    games = watcher(Duel(Hand(), FRAMES))
    up, before = [], None
    for moment in games.game(0):
        if moment.frame > 400:
            break
        row = middle(moment.screen, RIGHT)
        if before is not None and before != row and not np.isnan(row + before):
            up.append(row < before)
        before = row
    assert True in up and False in up


def test_a_hand_that_rests_leaves_the_paddle_in_the_middle() -> None:
    machine = Duel(Hand(), FRAMES)
    machine.reset_game()
    screen = np.empty(machine.screen_shape, np.uint8)
    for _ in range(50):
        machine.play(bytes(4))
        machine.read_screen(screen)
        assert middle(screen, LEFT) == pytest.approx(102.5, abs=2)


def test_ale_alone_is_not_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duel, "why_not_console", lambda rom: "the console was not compiled")
    with pytest.raises(EmulatorError, match="expected fastpong's own console, which has both"):
        Duel(Hand(), FRAMES)
    assert choice.why_not_console("pong") is None
