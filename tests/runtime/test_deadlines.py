"""Deadlines by a clock of the test's."""

from __future__ import annotations

import pytest

from fastpong.runtime.deadlines import CLUSTER, LOCAL, TASKS, Deadlines, Late, Lengths


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Watched:
    """Deadlines that are looked at ten times a second."""

    def __init__(self, timeout: float | None = None) -> None:
        self.clock = Clock()
        self.deadlines = Deadlines(timeout, self.clock)

    def after(self, seconds: float) -> list[Late]:
        """Let time go by, and return what was late in it."""
        found = []
        for _ in range(round(10 * seconds)):
            self.clock.now += 0.1
            found += self.deadlines.check()
        return found

    def play(self, seconds: float) -> None:
        self.deadlines.begin("task")
        self.after(seconds)
        self.deadlines.end("task")


def first(late: list[Late], *, over: bool) -> float:
    """Return the seconds of the first one."""
    return next(each.seconds for each in late if each.over is over)


@pytest.mark.parametrize(
    ("length", "told", "over"),
    [
        (0.5, LOCAL.least_told, LOCAL.least_over),
        (5.0, LOCAL.least_told, LOCAL.least_over),
        (10.0, 30.0, 100.0),
    ],
)
def test_a_task_is_told_of_once_and_over_later(length: float, told: float, over: float) -> None:
    watched = Watched()
    watched.play(0.2)
    watched.play(length)
    watched.deadlines.begin("late")
    late = watched.after(over + 1)
    assert first(late, over=False) == pytest.approx(told, abs=0.5)
    assert first(late, over=True) == pytest.approx(over, abs=0.5)
    assert [each.over for each in late].count(False) == 1
    assert all(each.allowed == pytest.approx(over, abs=1) for each in late)
    watched.deadlines.forget("late")
    assert watched.after(2 * over) == []


def test_the_longest_of_the_last_tasks_counts() -> None:
    watched = Watched()
    watched.play(20.0)
    for _ in range(TASKS):
        watched.play(0.2)
    watched.deadlines.begin("late")
    assert first(watched.after(100), over=True) == pytest.approx(LOCAL.least_over, abs=0.5)


def test_a_start_and_the_first_tasks_have_time_to_import_and_compile() -> None:
    watched = Watched()
    watched.deadlines.start("start")
    watched.deadlines.begin("first")
    late = watched.after(LOCAL.first_over + 1)
    assert first(late, over=False) == pytest.approx(LOCAL.first_told, abs=0.5)
    assert first(late, over=True) == pytest.approx(LOCAL.first_over, abs=0.5)
    assert {each.key for each in late} == {"start", "first"}
    watched.deadlines.end("start")
    watched.deadlines.forget("first")
    watched.play(0.2)  # a start is no measure
    watched.deadlines.begin("late")
    assert first(watched.after(100), over=True) == pytest.approx(LOCAL.least_over, abs=0.5)


def test_a_timeout_is_kept_and_doubles_for_a_task_that_was_over() -> None:
    watched = Watched(timeout=5.0)
    for again, allowed in ((0, 5.0), (1, 10.0), (2, 20.0)):
        watched.deadlines.begin("late", again)
        late = watched.after(allowed + 1)
        assert first(late, over=True) == pytest.approx(allowed, abs=0.5)
        watched.deadlines.forget("late")


def test_time_in_which_nobody_looked_does_not_count() -> None:
    watched = Watched(timeout=5.0)
    watched.deadlines.begin("task")
    for _ in range(3):
        watched.clock.now += 3600  # the computer slept
        assert watched.deadlines.check() == []
    assert first(watched.after(10), over=True) == pytest.approx(5.0, abs=0.5)


def test_a_cluster_has_limits_of_its_own() -> None:
    lengths = Lengths(CLUSTER, clock=Clock())
    assert lengths.first() == lengths.allowed() == (60.0, 600.0)
    lengths.add(0.01)
    assert lengths.allowed() == (2.0, 60.0)
    lengths.add(5.0)
    assert lengths.allowed() == (20.0, 100.0)
    assert lengths.allowed(again=2) == (20.0, 400.0)
    for _ in range(TASKS):
        lengths.add(0.01)
    assert lengths.allowed() == (2.0, 60.0)
    assert Lengths(CLUSTER, timeout=7.0, clock=Clock()).allowed() == (7.0, 7.0)


def test_time_that_nobody_looked_at_does_not_count() -> None:
    clock = Clock()
    lengths = Lengths(clock=clock)
    clock.now += 0.5
    assert lengths.now() == 0.5
    clock.now += 3600.0  # the computer slept
    assert lengths.now() == 1.5
