"""Threads that learn together, each with some of the hidden units.

A thread has copies of its units' columns: as columns of shared rows, though on cache lines of their
own, they made two threads no faster than one. This way they are half as fast again, copying
included.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise, starmap
from queue import SimpleQueue
from threading import Thread
from weakref import finalize

import numpy as np
from numpy.typing import DTypeLike

from fastpong.arrays import Arrays, Floats
from fastpong.learning import aligned

Work = Callable[[int], None]
Answers = SimpleQueue[BaseException | None]
Tasks = SimpleQueue[tuple[Work, int, Answers] | None]


class Team:
    """Threads that work side by side, the caller one of them.

    They end when nobody holds this any more. Through a thread pool's futures an update of the
    Q-learner's, of 16 minibatches, had 110 switches of context. It has 70.
    """

    def __init__(self, size: int) -> None:
        self.size = max(1, size)
        self._queues: list[Tasks] = []
        for _ in range(self.size - 1):
            tasks: Tasks = SimpleQueue()
            Thread(target=_help, args=(tasks,), name="learner", daemon=True).start()
            finalize(self, tasks.put, None)
            self._queues.append(tasks)

    def each(self, work: Work, failed: Callable[[], None] | None = None) -> None:
        """Call ``work`` with 0, 1, ... on all threads, and wait.

        The caller's is 0. Where it fails ``failed`` is called before the wait, to free those that
        wait for it. Raises what one of them raised.

        A handler of signals may raise in between. ``extend`` counts within the one compiled call
        that puts or gets, where none runs: ``begun`` and ``found`` are right even then.
        """
        answers: Answers = SimpleQueue()  # of this call: no later one may read them
        given = [(work, number, answers) for number in range(1, self.size)]
        begun: list[None] = []
        found: list[BaseException | None] = []
        interrupt = None
        try:
            begun.extend(map(SimpleQueue.put, self._queues, given))
            work(0)
        except BaseException:
            if failed is not None:
                failed()
            raise
        finally:  # no one may go on while a part is being worked on
            while True:
                try:
                    found.extend(starmap(answers.get, [()] * (len(begun) - len(found))))
                    break
                except BaseException as error:
                    interrupt = error
            if interrupt is not None:
                raise interrupt
        for failure in found:
            if failure is not None:
                raise failure


def _help(tasks: Tasks) -> None:
    while (task := tasks.get()) is not None:
        work, number, answers = task
        failure = None
        try:
            work(number)
        except BaseException as error:
            failure = error
        del task, work  # or its arrays would live on until the next one
        answers.put(failure)


class Part:
    """Copies of the columns [first, last) of some arrays.

    heights : the rows of each, by name
    """

    def __init__(self, first: int, last: int, heights: Mapping[str, int], dtype: DTypeLike) -> None:
        self.first, self.width, self.dtype = first, last - first, np.dtype(dtype)
        self.columns = slice(first, last)
        self.arrays = {name: self.room(height, self.width) for name, height in heights.items()}

    def room(self, *shape: int) -> Floats:
        """Return zeros that begin on a cache line."""
        made: Floats = aligned.zeros(shape, self.dtype).view(self.dtype)
        return made

    def take(self, whole: Arrays) -> None:
        """Copy the columns.

        Raises ValueError where an array is not of the expected dtype and height.
        """
        for name, mine in self.arrays.items():
            theirs = whole[name]
            if theirs.dtype != mine.dtype or len(theirs) != len(mine):
                raise ValueError(
                    f"{name}: expected {len(mine)} rows of {mine.dtype}, got {len(theirs)} of "
                    f"{theirs.dtype}"
                )
            mine[...] = theirs[:, self.columns]

    def give(self, whole: Arrays) -> None:
        """Write the columns back."""
        for name, mine in self.arrays.items():
            whole[name][:, self.columns] = mine


def shares(size: int, count: int, align: int = 1) -> list[tuple[int, int]]:
    """Cut [0, size) into at most ``count`` similar parts.

    They begin at multiples of ``align``.
    """
    edges = [min(size, round(size * k / count / align) * align) for k in range(count)]
    return [(a, b) for a, b in pairwise([*edges, size]) if a < b]
