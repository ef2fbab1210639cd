"""Numbers and durations in words."""

from __future__ import annotations

import pytest

from fastpong.pages import words


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "0 s"),
        (59.4, "59 s"),
        (59.6, "60 s"),
        (60, "1 min 00 s"),
        (3599.6, "1 h 00 min"),
        (47 * 3600, "47 h 00 min"),
        (49 * 3600 + 1, "2 days 1 h"),
    ],
)
def test_a_duration_has_two_units(seconds: float, text: str) -> None:
    assert words.duration(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (999, "999"), (1000, "1k"), (12345, "12.3k"), (1.5e6, "1.5M"), (-2e9, "-2G")],
)
def test_a_short_number_has_three_digits(value: float, text: str) -> None:
    assert words.short(value) == text


def test_points_have_a_sign() -> None:
    assert [words.points(v) for v in (-21, 0.5)] == ["-21.00", "+0.50"]
    assert words.count(1234567.0) == "1,234,567"
