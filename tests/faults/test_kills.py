"""Real trainings, really killed: a few of the thousand of ``python benchmarks/faults.py kills``."""

from __future__ import annotations

import signal

import pytest
from reliability import plan
from reliability.kills import Trials
from reliability.plan import Blow, Trial
from reliability.trainings import AGENTS, EMULATORS, METHODS, Training

KILL, TERM, INT, HUP = signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP

TRIALS = (
    Trial(1, Training("karpathy", "console"), (
        Blow("writing", "parent", (KILL,)), Blow("play", "group", (TERM,)),
        Blow("play", "worker", (KILL,)),
    )),
    Trial(2, Training("ppo", "ale", "spawn"), (
        Blow("start", "both", (KILL,)), Blow("play", "group", (INT, INT)),
    )),
    Trial(3, Training("dqn", "console", "fork"), (
        Blow("play", "parent", (KILL,)), Blow("play", "parent", (HUP,)),
    )),
    Trial(4, Training("keras", "console", options=plan.EVALUATED), (
        Blow("evaluation", "parent", (KILL,)), Blow("end", "parent", (INT,)),
    )),
    Trial(5, Training("karpathy", "console", options=plan.PHASES["sweep"]), (
        Blow("sweep", "parent", (KILL,)),
    )),
)  # fmt: skip


@pytest.fixture(scope="module")
def trials(tmp_path_factory: pytest.TempPathFactory) -> Trials:
    return Trials(tmp_path_factory.mktemp("trials"))


@pytest.mark.parametrize(
    "trial", TRIALS, ids=lambda trial: f"{trial.training.agent}-{trial.number}"
)
def test_a_killed_training_ends_as_one_that_nobody_disturbed(trials: Trials, trial: Trial) -> None:
    for _ in range(20):  # on a busy machine a blow may come after the end
        record = trials.carry_out(trial)
        assert record.faults == []
        if record.landed:
            return
    raise AssertionError("no blow has met a living process")


def test_the_numbers_of_trials_cover_every_combination() -> None:
    numbers = range(2184)
    made = [Trial.of(number) for number in numbers]
    seen = {
        (t.training.agent, t.training.emulator, t.training.method, b.phase, b.target, b.signals)
        for t in made
        for b in t.blows
    }
    wanted = {
        (agent, emulator, method, phase, *kind)
        for agent in AGENTS
        for emulator in EMULATORS
        for method in METHODS
        for phase in plan.PHASES
        for kind in plan.KINDS
        if method == "forkserver" or phase != "sweep"
    }
    assert seen == wanted
