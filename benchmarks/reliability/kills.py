"""Trainings that are killed, resumed, killed again and resumed to their end.

A trial is one training. It is begun, struck, resumed, struck again and at last left to its end.
After every blow: the exit status is right, no traceback was printed, no process stays, the newest
checkpoint is whole. In the end: the last checkpoint is, byte for byte, that of a run that nobody
disturbed. So are the rows of the logs. No temporary file stays.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import threading
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

from reliability.plan import Blow, Trial
from reliability.processes import Started, family, helpers, started, strike, vanish
from reliability.trainings import (
    WORKERS,
    End,
    Training,
    end_of,
    left_behind,
    rows,
)

from fastpong.storage.files import TEMPORARY

_UNBORN = re.compile(r"Traceback .*\n(?:  .*\n)*  .* in _main\n(?: .*\n)+EOFError: .*\n")
"""Python's own words where spawn's parent is killed as it starts a worker: no code of ours runs."""

_OURS = re.compile(r", in main\n")
"""In a traceback: the command had begun. Before it, packages are imported."""

GAP_SECONDS = 0.1
"""Longest time between two signals of one blow."""


@dataclass(frozen=True)
class Reference:
    """A run that nobody disturbed.

    start   : seconds to its first checkpoint
    seconds : to its exit
    ends    : where its runs ended
    """

    start: float
    seconds: float
    ends: list[End]


@dataclass
class Record:
    """What came of a trial.

    landed  : blows that met a living process
    writing : blows that left a half-written checkpoint
    faults  : what went wrong
    orphans : most seconds that a process outlived its killed parent
    last    : which blow that was
    """

    landed: list[Blow] = field(default_factory=list)
    writing: int = 0
    faults: list[str] = field(default_factory=list)
    orphans: float = 0.0
    last: str = ""


def undisturbed(training: Training, home: Path) -> Reference:
    """Train without any disturbance."""
    home.mkdir(parents=True)
    begun = time.monotonic()
    with started(training.begin(home), home, f"{home}") as it:
        it.wait(lambda: any(any((r / "checkpoints").glob("*.json")) for r in training.runs(home)))
        start, status = time.monotonic() - begun, it.status()
        seconds = time.monotonic() - begun
    assert status == 0, (home / "err").read_text()
    ends = [end_of(run) for run in training.runs(home)]
    return Reference(start, seconds, [end for end in ends if end is not None])


class Trials:
    """Carry trials out, each beside the run that nobody disturbed.

    directory : for the runs, those with a fault are left there
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._references: dict[Training, Reference] = {}
        self._lock = threading.Lock()  # of the references: trials may be side by side

    def reference(self, training: Training) -> Reference:
        """Return what the training comes to. Neither method nor --watch change that."""
        options = () if "--watch" in training.options else training.options
        plain = replace(training, method="forkserver", options=options)
        with self._lock:
            if plain not in self._references:
                name = f"reference-{plain.agent}-{plain.emulator}-{len(plain.options)}"
                home = self._directory / name
                shutil.rmtree(home, ignore_errors=True)
                self._references[plain] = undisturbed(plain, home)
                shutil.rmtree(home)
            return self._references[plain]

    def carry_out(self, trial: Trial) -> Record:
        """Begin a training, strike it, and see it to its end."""
        home = self._directory / f"trial-{trial.number}"
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
        record, chance = Record(), random.Random(trial.number)
        reference = self.reference(trial.training)
        work = _Work(trial, home, reference, chance, record)
        for blow in trial.blows:
            if not work.complete and not record.faults:
                work.bear(blow)
        if not record.faults:
            work.finish()
        if not record.faults:
            shutil.rmtree(home)
        return record


@dataclass
class _Work:
    """A trial under way."""

    trial: Trial
    home: Path
    reference: Reference
    chance: random.Random
    record: Record

    @property
    def complete(self) -> bool:
        """Whether the training is at its end."""
        return [end and end.weights for end in self.ends()] == [
            end.weights for end in self.reference.ends
        ]

    def ends(self) -> list[End | None]:
        return [end_of(run) for run in self.trial.training.runs(self.home)]

    def command(self) -> list[str]:
        """Return what begins the run, or goes on with it if there is something to go on with."""
        training, run = self.trial.training, self.home / "run"
        if (run / "sweep.json").exists() or end_of(run) is not None:
            return training.resume()
        shutil.rmtree(run, ignore_errors=True)
        return training.begin(self.home)

    def bear(self, blow: Blow) -> None:
        """Let the run be struck once, and check what is left of it."""
        mark = f"{self.home}"
        watched = "--watch" in self.trial.training.options
        with started(self.command(), self.home, mark, watched=watched) as it:
            landed = self._reach(it, blow.phase) and self._strike(it, blow)
            status = it.status()
            if status is None:
                self._blame(blow, f"hangs: {[p.pid for p in family(mark)]}\n{it.printed[-2000:]}")
                return
            outlived = vanish(mark)
            if outlived is None:
                self._blame(blow, f"processes stay: {[p.cmdline() for p in family(mark)]}")
                return
            if outlived > self.record.orphans:
                self.record.orphans, self.record.last = outlived, f"{blow}"
            if landed:
                self.record.landed.append(blow)
                self.record.writing += bool(list(self.home.glob("run/**/checkpoints/*.tmp")))
            if landed and _is_pythons(blow, status, it.errors):
                return
            self._check_words(blow, it)
        self._check_status(blow, status, landed, working=bool(it.printed))

    def _reach(self, it: Started, phase: str) -> bool:
        """Wait for a moment of a phase. False: the run has ended before it."""
        reference, share = self.reference, self.chance.random()
        run = self.trial.training.runs(self.home)[0]
        if phase == "start":
            return it.sleep(share * reference.start)
        if phase in ("watch", "sweep"):  # after an episode of any of its runs
            tables = {table: len(rows(table)) for table in run.rglob("metrics.csv")}
            return it.wait(
                lambda: any(len(rows(t)) > tables.get(t, 0) for t in run.rglob("metrics.csv"))
            ) and it.sleep(share * 0.2)
        if not it.wait(lambda: it.printed):  # the rows are those of before until it goes on
            return False
        if phase == "evaluation":
            return it.wait(lambda: len(helpers(it)[0]) > WORKERS) and it.sleep(share * 0.05)
        table, last = run / "metrics.csv", len(reference.ends[0].rows)
        if phase == "end":
            return it.wait(lambda: len(rows(table)) >= last) and it.sleep(share * 0.3)
        # By episodes and not by the clock: other work on the machine must not move it to the end.
        first = len(rows(table)) + 1
        episode = self.chance.randrange(first, last) if first < last else last
        if not it.wait(lambda: len(rows(table)) >= episode):
            return False
        if phase == "writing":
            return it.wait(lambda: _writes(run), poll=0)
        return it.sleep(share * (reference.seconds - reference.start) / last)

    def _strike(self, it: Started, blow: Blow) -> bool:
        """Strike, and return whether it met a living process."""
        main, first, group = it.process.pid, blow.signals[0], blow.target == "group"
        chance, sweep = self.chance, self.trial.training.sweep
        if blow.target in ("worker", "helper"):
            found = helpers(it, sweep=sweep)[blow.target == "helper"]
            return bool(found) and strike(chance.choice(found), first)
        if blow.target == "both" and (workers := helpers(it, sweep=sweep)[0]):
            strike(chance.choice(workers), first)
        landed = it.alive and strike(main, first, group=group)
        for number in blow.signals[1:]:
            time.sleep(chance.random() * GAP_SECONDS)
            if it.alive:
                strike(main, number, group=group)
        return landed

    def _check_words(self, blow: Blow, it: Started) -> None:
        words = it.errors
        at_once = signal.SIGKILL in blow.signals or len(blow.signals) > 1
        if self.trial.training.method == "spawn" and at_once:
            words = _UNBORN.sub("", words)
        said = words.splitlines() if it.terminal is None else []
        # Before the command takes the signals over, click answers Ctrl-C by an empty line.
        odd = [line for line in said if line and not line.startswith("fastpong: ")]
        if odd or "Traceback" in words:
            self._blame(blow, f"printed:\n{words[-3000:]}")

    def _check_status(self, blow: Blow, status: int, landed: bool, working: bool) -> None:
        """Check the exit status, and that there is a whole checkpoint or none at all.

        working : whether the command had said anything
        """
        try:
            ends, complete = self.ends(), self.complete
        except AssertionError as error:
            self._blame(blow, f"the newest checkpoint is not whole: {error}")
            return
        expected = _statuses(blow, complete, working and any(ends)) if landed else {0}
        if status not in expected:
            self._blame(blow, f"exit status {status}, expected {sorted(expected)}")
        if status == 0 and not complete:
            self._blame(blow, "exit status 0, and the last checkpoint is not that of the end")

    def finish(self) -> None:
        """Go on to the end, and compare."""
        with started(self.command(), self.home, f"{self.home}") as it:
            status, stays = it.status(), vanish(f"{self.home}")
        if status != 0 or stays is None or "Traceback" in it.printed:
            self._blame(None, f"resumed to the end: status {status}\n{it.printed[-3000:]}")
            return
        for run, end, wanted in zip(
            self.trial.training.runs(self.home), self.ends(), self.reference.ends, strict=True
        ):
            if end is None or end.weights != wanted.weights:
                self._blame(None, f"{run}: ended with other weights")
            elif end != wanted:
                self._blame(None, f"{run}: the same weights, other rows of the logs")
        if left := left_behind(self.home):
            self._blame(None, f"files are left: {left}")

    def _blame(self, blow: Blow | None, what: str) -> None:
        training = self.trial.training
        where = f"{training.agent}, {training.emulator}, {training.method}"
        self.record.faults.append(
            f"trial {self.trial.number} ({where}), {blow or 'at the end'}: {what}; see {self.home}"
        )


def _writes(run: Path) -> bool:
    """Return whether a checkpoint is being written."""
    try:
        with os.scandir(run / "checkpoints") as files:  # as quick as it can be
            return any(file.name.endswith(TEMPORARY) for file in files)
    except FileNotFoundError:
        return False


def _is_pythons(blow: Blow, status: int, errors: str) -> bool:
    """Return whether Ctrl-C came while Python itself began: no code of ours had run."""
    first = blow.signals[0] == signal.SIGINT and blow.phase == "start"
    silent = status == -signal.SIGINT and not errors
    return first and (silent or ("Traceback" in errors and not _OURS.search(errors)))


def _statuses(blow: Blow, complete: bool, begun: bool) -> set[int]:
    """Return the exit statuses that a blow may have.

    complete : whether the last checkpoint is there
    begun    : whether there is a checkpoint, and the command was at work
    """
    first = blow.signals[0]
    if blow.target in ("worker", "helper"):
        return {0}
    if first == signal.SIGKILL:
        return {-first, 0} if complete else {-first}
    allowed = {128 + first} | ({0} if complete else set())
    # Before the command has taken the signals over, and after it has let go of them.
    return allowed | ({-first} if first != signal.SIGINT and (complete or not begun) else set())
