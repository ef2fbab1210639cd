"""Training on the console and on ale: the same to the bit, also where a run changes in between."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from training_cases import Stages, Trained, stages_of, train
from waiting import PATIENCE

from fastpong.envs.choice import kind_of
from fastpong.settings.config import Config
from fastpong.storage import checkpoint
from fastpong.storage.run import Run, RunError
from fastpong.training.session import Session
from fastpong.training.state import TrainerState

ENV = "ALE/Pong-v5"
SAVED = ("state/envs/saved", "state/envs/saved_bytes")
ROLLOUTS = {"hidden": 16, "n_envs": 3, "n_steps": 96, "batch_size": 50}
AGENTS: dict[str, dict[str, Any]] = {
    "karpathy": {"hidden": 20, "batch_size": 2},
    "keras": {"batch_size": 1, "learning_rate": 1e-3},
    "ppo": {**ROLLOUTS, "cell_size": 8, "coarse_cells": "16x16:0.3"},
    "dqn": {**ROLLOUTS, "cell_size": 8, "coarse_cells": "16x16:0.3", "learning_starts": 200},
}
UPDATES = {"karpathy": 2, "keras": 2, "ppo": 12, "dqn": 12}


def stages(agent: str) -> Stages:
    return stages_of(agent, env=ENV, **AGENTS[agent])


def kinds(snapshot: TrainerState) -> set[str]:
    """Return the emulators that saved a run's environments."""
    saved, sizes = (snapshot.arrays[name] for name in SAVED)
    return {kind_of(row[1:size].tobytes()) for row, size in zip(saved, sizes, strict=True)}


def assert_same(found: Trained, expected: Trained) -> None:
    assert found.arrays.keys() == expected.arrays.keys()
    for name, array in expected.arrays.items():
        if name not in SAVED:
            assert np.array_equal(found.arrays[name], array), name
    names = [name for name in found.counters if not name.endswith("_seconds")]
    assert [found.counters[name] for name in names] == [expected.counters[name] for name in names]


@pytest.mark.parametrize("agent", AGENTS)
def test_a_run_may_change_its_emulator(agent: str) -> None:
    wanted = UPDATES[agent]
    console = train(ENV, stages(agent), updates=wanted)
    assert_same(train(ENV, stages(agent), updates=wanted, emulator="ale"), console)
    for first, second in (("ale", "console"), ("console", "ale")):
        half = train(ENV, stages(agent), updates=wanted // 2, emulator=first).snapshot
        if SAVED[0] in half.arrays:
            # In the middle of an episode, which has to be ended on its own emulator.
            assert kinds(half) == {first}
            assert half.arrays["state/envs/length"].all()
        rest = train(ENV, stages(agent), updates=wanted, emulator=second, state=half)
        assert_same(rest, console)


def test_the_emulator_changes_with_the_next_episode() -> None:
    """A checkpoint of a fastpong without console, resumed with the default."""
    half = train(ENV, stages("ppo"), updates=1, emulator="ale").snapshot
    soon = train(ENV, stages("ppo"), updates=2, state=half)
    assert kinds(soon.snapshot) == {"ale"}
    late = train(ENV, stages("ppo"), updates=30, state=half)
    assert len(late.stats) >= 3
    assert kinds(late.snapshot) == {"console"}


def test_a_saved_state_of_another_version_is_refused_before_anything_is_played(
    tmp_path: Path,
) -> None:
    config = Config.build({"agent": "ppo", "env": ENV, "workers": 1, **AGENTS["ppo"]})
    found = train(ENV, config.stages, updates=1).snapshot
    saved = found.arrays[SAVED[0]]
    place = saved[1].tobytes().index(b"console 1") + 8
    saved[1, place] = ord("0")
    with Run.create(tmp_path / "run", config) as run:
        assert run.save(found)
        assert checkpoint.newest(run.directory / "checkpoints")[1] == []
    with (
        Run.resume(tmp_path / "run") as run,
        Session(run.config) as session,
        pytest.raises(RunError, match=r"cannot be resumed: saved: .*use the version of fastpong"),
    ):
        session.train(run)


SCRIPT = """
import sys
from pathlib import Path
from fastpong.settings.config import Config
from fastpong.storage.run import Run
from fastpong.training.session import Session

class Look:
    def begin(self, counters): pass
    def tick(self): pass
    def evaluated(self, row, best): pass
    def update(self, stats, restarts):
        for pid in session.pool.pids:
            assert "fastpong" in Path(f"/proc/{pid}/maps").read_text()
            print("ale_py" in Path(f"/proc/{pid}/maps").read_text())

config = Config.build({"hidden": 4, "workers": 2, "episodes": 1, "emulator": sys.argv[1]})
with Session(config) as session, Run.create("run", config) as run:
    session.train(run, display=Look())
print("ale_py" in sys.modules, "gymnasium" in sys.modules)
"""


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs /proc")
@pytest.mark.parametrize("emulator", ["auto", "ale"])
def test_no_process_loads_ale_to_train_on_the_console(tmp_path: Path, emulator: str) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-c", SCRIPT, emulator], cwd=tmp_path, capture_output=True,
        text=True, timeout=PATIENCE,
    )  # fmt: skip
    on_ale = str(emulator == "ale")
    assert done.stdout.split() == [on_ale, on_ale, "False", "False"], done
