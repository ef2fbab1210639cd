"""The table of games: what equals is said to equal, what differs is said to differ."""

from __future__ import annotations

from fastpong.console.coverage import Result, compare, document


def test_games_that_equal() -> None:
    for name in ("pong", "boxing"):
        result = compare(name, frames=300)
        assert result.equal and result.frames == 300


def test_a_game_that_is_not_run() -> None:
    assert compare("asteroids", frames=10).obstacle == "switches banks"
    assert compare("combat", frames=10).obstacle == "ALE does not play it alone"


def test_a_difference_is_told() -> None:
    result = compare("pong", frames=20)
    result.ram_differs, result.detail = 7, "1 bytes, first 3"
    assert not result.equal
    text = document([result, Result("other", 8192, "switches banks")], 20)
    assert "2 ROMs: 1 run, 0 equal from the start on" in text
    assert "| pong | 2048 | 60 + 12 | paddle 1 | differs at frame 7 (1 bytes, first 3) |" in text
    assert "| other | 8192 |  |  | switches banks |  |" in text
