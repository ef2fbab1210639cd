"""Text made fit for screens and pages."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fastpong.printable import counted, printable


def test_controls_and_surrogates_are_written_out() -> None:
    assert printable("\x1b[31mrot\x07") == r"\x1b[31mrot\x07"
    assert printable("a\udcff\u202e") == r"a\udcff\u202e"
    assert printable("Größe 漢字") == "Größe 漢字"
    assert printable("a\nb\tc", keep="\n") == "a\nb\\tc"


@given(st.text(st.characters(codec=None), max_size=30))
def test_the_result_can_always_be_printed(text: str) -> None:
    found = printable(text)
    assert found.isprintable()
    found.encode()


def test_one_thing_is_no_plural() -> None:
    assert [counted(n, "episode") for n in (0, 1, 2, 2000)] == [
        "0 episodes", "1 episode", "2 episodes", "2,000 episodes",
    ]  # fmt: skip
