"""Groups of runs: who belongs together, under which name, and means and bands by hand."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest
from curve_cases import curve

from fastpong.settings.config import CHANGEABLE
from fastpong.viewing.groups import UNRELATED, make_band, make_groups, table, value_at


@pytest.mark.parametrize("by", ["settings", "env"])
def test_settings_that_are_lists_make_groups(by: str) -> None:
    curves = [curve(f"{n}", [1, 2], [0, 0], seed=[n], env=["a"]) for n in (1, 2)]
    (group,) = make_groups(curves, by)
    assert group.label.endswith(", 2 seeds")


def test_a_band_by_hand() -> None:
    curves = [curve("a", [0, 10, 20], [0, 6, 12]), curve("b", [0, 5, 20], [2, 4, 0])]
    band = make_band(curves, "std", 3)
    assert band is not None
    np.testing.assert_array_equal(band.x, [0, 10, 20])
    np.testing.assert_array_equal(band.mean, [1, 5, 6])
    # Of two numbers the standard deviation is their difference over the root of two.
    deviation = np.array([2, 2, 12]) / np.sqrt(2)
    np.testing.assert_allclose(band.high - band.mean, deviation, rtol=1e-12)
    np.testing.assert_allclose(band.mean - band.low, deviation, rtol=1e-12)
    band = make_band(curves, "range", 3)
    assert band is not None
    np.testing.assert_array_equal(band.low, [0, 4, 0])
    np.testing.assert_array_equal(band.high, [2, 6, 12])


def test_a_run_has_the_value_of_its_last_episode() -> None:
    steps = curve("a", [2, 4, 4, 8], [1, 2, 3, 4])
    found = value_at(steps, np.array([1, 2, 3.9, 4, 7.9, 8, 8.1]))
    np.testing.assert_array_equal(found, [np.nan, 1, 1, 3, 3, 4, np.nan])


def test_a_run_at_its_goal_keeps_its_mean() -> None:
    first = curve("a", [0, 10], [0, 20], at_goal=True)
    second = curve("b", [0, 10, 20], [0, 10, 18], at_goal=True)
    band = make_band([first, second], points=3)
    assert band is not None
    np.testing.assert_array_equal(band.x, [0, 10, 20])
    np.testing.assert_array_equal(band.mean, [0, 15, 19])


def test_an_unfinished_run_drops_out_and_half_of_them_end_the_band() -> None:
    ends = (10, 20, 30, 40)
    curves = [curve(str(end), [0, end], [end, end]) for end in ends]
    band = make_band(curves, points=4)
    assert band is not None
    np.testing.assert_array_equal(band.x, [0, 10, 20, 30])
    np.testing.assert_array_equal(band.mean, [25, 25, 30, 35])


def test_no_band_without_company() -> None:
    one, later = curve("a", [0, 10], [0, 1]), curve("b", [20, 30], [0, 1])
    assert make_band([one]) is None
    assert make_band([one, later]) is None
    assert make_groups([one])[0].band is None
    with pytest.raises(ValueError, match="band: expected one of std, range, got 'ci'"):
        make_band([one, one], "ci")
    with pytest.raises(ValueError, match="by: expected one of settings, directory"):
        make_groups([one], "seed")


def test_seeds_of_the_same_settings_make_a_group() -> None:
    curves = [
        curve("r1", [0, 1], [0, 1], agent="ppo", recipe="pong", seed=1, workers=2, hidden=8),
        curve("x", [0, 1], [0, 1], agent="ppo", recipe="pong", seed=1, workers=2, hidden=9),
        curve("r2", [0, 1], [0, 1], agent="ppo", recipe="pong", seed=2, workers=1, hidden=8),
    ]
    groups = make_groups(curves)
    assert [group.label for group in groups] == ["pong, 2 seeds", "x"]
    assert [run.name for run in groups[0].curves] == ["r1", "r2"]
    assert groups[0].band is not None


def test_groups_know_the_settings_on_which_no_weight_depends() -> None:
    assert CHANGEABLE - {"learning_rate"} | {"seed"} == UNRELATED


def test_names_say_what_differs() -> None:
    curves = [
        curve(f"r{hidden}-{seed}", [0, 1], [0, 1], agent="ppo", recipe="pong", seed=seed,
              hidden=hidden, env="Pong-v0")
        for hidden in (8, 16)
        for seed in (1, 2)
    ]  # fmt: skip
    assert [g.label for g in make_groups(curves)] == [
        "pong hidden=8, 2 seeds", "pong hidden=16, 2 seeds"
    ]  # fmt: skip


def test_the_same_seed_twice_is_two_runs() -> None:
    curves = [curve(name, [0, 1], [0, 1], agent="ppo", seed=1) for name in "ab"]
    assert [group.label for group in make_groups(curves)] == ["ppo, 2 runs"]


def test_stages_that_differ_are_told_by_the_runs_names() -> None:
    curves = [
        curve(f"{name}-{seed}", [0, 1], [0, 1], agent="dqn", seed=seed, stages=[{"from_step": n}])
        for n, name in enumerate(("long", "short"))
        for seed in (1, 2)
    ]
    labels = [group.label for group in make_groups(curves)]
    assert labels == ["dqn long, 2 seeds", "dqn short, 2 seeds"]


def test_equal_names_are_numbered() -> None:
    curves = [curve("first", [0], [0]), curve("other/first", [0], [0])]
    assert [group.name for group in make_groups(curves)] == ["first (1)", "first (2)"]


@pytest.mark.parametrize(
    ("by", "labels"),
    [
        ("env", ["Pong-v0, 2 seeds", "Pong-v4"]),
        ("agent", ["ppo", "dqn, 2 seeds"]),
        ("recipe", ["pong", "no recipe, 2 seeds"]),
        ("run", ["a", "b", "c"]),
        ("directory", ["runs, 3 seeds"]),
    ],
)
def test_other_groups(by: str, labels: list[str]) -> None:
    curves = [
        curve("a", [0], [0], env="Pong-v0", agent="ppo", seed=1, recipe="pong"),
        curve("b", [0], [0], env="Pong-v0", agent="dqn", seed=2, recipe=""),
        curve("c", [0], [0], env="Pong-v4", agent="dqn", seed=3, recipe=""),
    ]
    assert [group.label for group in make_groups(curves, by)] == labels


def test_runs_without_settings_stand_alone() -> None:
    curves = [curve(name, [0, 1], [0, 1]) for name in "ab"]
    assert [group.name for group in make_groups(curves)] == ["a", "b"]
    assert [group.label for group in make_groups(curves, "directory")] == ["runs, 2 runs"]


def test_the_table_has_all_that_is_drawn() -> None:
    curves = [curve("a", [0.5, 10], [0, 6], window=2), curve("b", [0, 10.5], [2, 4], window=2)]
    groups = make_groups(curves, "directory", points=2)
    text = io.StringIO()
    csv.writer(text).writerows(table(groups, "core-minutes"))
    header, *rows = csv.reader(io.StringIO(text.getvalue()))
    assert header == ["group", "run", "core_minutes", "return", "mean", "low", "high"]
    assert rows[:4] == [
        ["runs", "a", "0.5", "0", "0", "", ""],
        ["runs", "a", "10", "6", "3", "", ""],
        ["runs", "b", "0", "2", "2", "", ""],
        ["runs", "b", "10.5", "4", "3", "", ""],
    ]
    band = groups[0].band
    assert band is not None
    for row, *numbers in zip(rows[4:], band.x, band.mean, band.low, band.high, strict=True):
        assert row[:2] == ["runs", ""] and row[3] == ""
        assert [float(row[place]) for place in (2, 4, 5, 6)] == numbers
