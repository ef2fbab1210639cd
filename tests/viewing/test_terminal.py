"""Keys as terminals send them."""

from __future__ import annotations

import os
import pty
import tty
from collections.abc import Iterator

import pytest

from fastpong.viewing import terminal as module
from fastpong.viewing.keys import Key
from fastpong.viewing.terminal import Terminal


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Return the side of a terminal that somebody types on."""
    person, program = pty.openpty()
    tty.setraw(program)
    monkeypatch.setattr(module, "_keyboard", lambda: program)
    with os.fdopen(os.dup(program), "w") as out:
        monkeypatch.setattr(module.sys, "stdout", out)
        yield person
    os.close(person)
    os.close(program)


@pytest.mark.parametrize(
    ("sent", "keys"),
    [
        ("q", [Key("q")]),
        ("\x1b[A\x1bOB\x1b[C\x1b[D", [Key("up"), Key("down"), Key("right"), Key("left")]),
        ("\x1b[1;1:1A\x1b[1;1:2A\x1b[1;1:3A", [Key("up"), Key("up"), Key("up", released=True)]),
        ("\x1b[<35;7;12M", [Key("mouse", height=11.0)]),
        ("\x1b[<0;7;1m+", [Key("mouse", height=0.0), Key("+")]),
        ("\x1b[5~é", [Key("é")]),
    ],
)
def test_keys(sent: str, keys: list[Key], typed: int) -> None:
    terminal = Terminal()
    os.write(typed, sent.encode())
    assert terminal.pressed() == keys
    assert terminal.pressed() == []


def test_a_sequence_that_comes_in_parts_is_one_key_and_escape_alone_is_escape(typed: int) -> None:
    terminal = Terminal()
    for part in ("\x1b", "[<35;1", ";3M"):
        os.write(typed, part.encode())
        found = terminal.pressed()
    assert found == [Key("mouse", height=2.0)]
    os.write(typed, b"\x1b")
    assert terminal.pressed() == []
    assert terminal.pressed() == [Key("escape")]


def test_a_terminal_that_tells_of_releases_answers_the_question(typed: int) -> None:
    terminal = Terminal(played=True)
    assert not terminal.releases
    os.write(typed, b"\x1b[?2u")
    assert terminal.pressed() == []
    assert terminal.releases
