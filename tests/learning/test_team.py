"""Threads that learn together: all of them, every time, and none left behind."""

from __future__ import annotations

import gc
import signal
import sys
import threading
import time
from queue import SimpleQueue
from typing import Any

import numpy as np
import pytest
from waiting import PATIENCE, until

from fastpong.learning import aligned
from fastpong.learning.team import Part, Team, shares


def test_every_thread_has_its_number_and_the_caller_has_0() -> None:
    team, found = Team(3), {}
    for _ in range(20):
        found.clear()
        team.each(lambda k: found.update({k: threading.get_ident()}))
        assert sorted(found) == [0, 1, 2] and len(set(found.values())) == 3
        assert found[0] == threading.get_ident()


@pytest.mark.parametrize("broken", [0, 1, 2])
def test_a_failure_is_raised_when_all_have_ended(broken: int) -> None:
    team, ended = Team(3), []

    def work(number: int) -> None:
        if number == broken:
            raise MemoryError("no room")
        time.sleep(0.05)
        ended.append(number)

    with pytest.raises(MemoryError, match="no room"):
        team.each(work)
    assert sorted([*ended, broken]) == [0, 1, 2]
    team.each(ended.append)
    assert len(ended) == 5


class Interrupt(BaseException):
    """What a signal's handler raises."""


def interrupt(*_: object) -> None:
    raise Interrupt


def name_of_what_runs(thread: int) -> str:
    """Return the name of the function that a thread is in."""
    return sys._current_frames()[thread].f_code.co_name


def check_whole(team: Team) -> None:
    """Check that calls return when all have ended."""
    for _ in range(3):
        ended: list[int] = []

        def work(number: int, ended: list[int] = ended) -> None:
            time.sleep(0.03)
            until(lambda: len(ended) == number)
            ended.append(number)

        team.each(work)
        assert ended == list(range(team.size))


def test_an_interrupt_while_work_is_given_out(monkeypatch: pytest.MonkeyPatch) -> None:
    class Queue(SimpleQueue[Any]):
        def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
            if armed and isinstance(item, tuple) and item[1] == 2:
                interrupt()
            super().put(item)

    monkeypatch.setattr("fastpong.learning.team.SimpleQueue", Queue)
    team, armed, ended = Team(3), True, []

    def work(number: int) -> None:
        time.sleep(0.05)
        ended.append(number)

    with pytest.raises(Interrupt):
        team.each(work)
    assert ended == [1]
    armed = False
    check_whole(team)


def test_an_interrupt_of_the_wait() -> None:
    team, main, ended, heard = Team(3), threading.get_ident(), [], threading.Event()

    def hear(*_: object) -> None:
        heard.set()
        interrupt()

    def work(number: int) -> None:
        if number == 1:
            until(lambda: ended == [0, 2] and name_of_what_runs(main) == "each")
            signal.pthread_kill(main, signal.SIGUSR1)
            heard.wait(PATIENCE)
        elif number == 2:
            until(lambda: ended == [0])
        ended.append(number)

    before = signal.signal(signal.SIGUSR1, hear)
    try:
        with pytest.raises(Interrupt):
            team.each(work)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert ended == [0, 2, 1]
    check_whole(team)


def test_a_failure_of_the_callers_is_told_before_the_wait() -> None:
    team, told, found = Team(3), threading.Event(), []

    def work(number: int) -> None:
        if not number:
            raise MemoryError("no room")
        found.append(told.wait(PATIENCE))

    with pytest.raises(MemoryError, match="no room"):
        team.each(work, told.set)
    assert found == [True, True]
    check_whole(team)


def test_threads_end_when_nobody_holds_the_team() -> None:
    team = Team(4)
    found: set[threading.Thread] = set()
    team.each(lambda _: found.add(threading.current_thread()))
    helpers = found - {threading.current_thread()}
    assert len(helpers) == 3 and all(thread.is_alive() for thread in helpers)
    del team
    gc.collect()
    for thread in helpers:
        thread.join(PATIENCE)
        assert not thread.is_alive()


def test_a_part_takes_its_columns_and_gives_them_back() -> None:
    whole = {"rows": np.arange(12.0).reshape(2, 6), "units": np.ones((1, 6))}
    part = Part(2, 5, {"rows": 2, "units": 1}, "float64")
    part.take(whole)
    assert part.arrays["rows"].tolist() == [[2, 3, 4], [8, 9, 10]]
    assert part.arrays["rows"].ctypes.data % 64 == 0
    part.arrays["rows"] += 100
    part.give(whole)
    assert whole["rows"].tolist() == [[0, 1, 102, 103, 104, 5], [6, 7, 108, 109, 110, 11]]
    for bad in (np.zeros((3, 6)), np.zeros((2, 6), np.float32)):
        with pytest.raises(ValueError, match=r"^rows: expected 2 rows of float64"):
            part.take({**whole, "rows": bad})


@pytest.mark.parametrize(("size", "count", "align"), [(128, 2, 16), (200, 3, 16), (7, 4, 16),
                                                      (5, 9, 1), (0, 2, 1)])  # fmt: skip
def test_shares_cover_all_once(size: int, count: int, align: int) -> None:
    found = shares(size, count, align)
    assert [n for a, b in found for n in range(a, b)] == list(range(size))
    assert len(found) <= count and all(a % align == 0 for a, _ in found)


@pytest.mark.parametrize("shape", [(1, 1), (3, 2, 5), (1000, 48)])
@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8"])
def test_aligned_arrays_begin_on_a_cache_line(shape: tuple[int, ...], dtype: str) -> None:
    made = aligned.zeros(shape, dtype)
    assert made.shape == shape and made.dtype == dtype and made.flags.c_contiguous
    assert made.ctypes.data % 64 == 0 and not made.any()
    made[...] = 1
    assert made.sum() == made.size
