"""Weights of short training runs, to the bit: what moves code must not move them.

``golden/weights.json`` keeps the hashes, of parameters and of what the optimizers remember, and the
number of frames played, which tells other play from other learning. After a change that is meant to
change weights, record them anew and say in the commit why:

    python tests/training/test_weights.py --record

The project's names are used in the first part alone.
"""

from __future__ import annotations

import hashlib
import json
import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import ale_py
import numpy as np
import pytest
from tolerances import TRAINING, assert_close

from fastpong.agents import AGENTS, make_plan
from fastpong.agents.protocol import Chance
from fastpong.envs.draws import TRAIN
from fastpong.runtime.pool import Pool
from fastpong.runtime.sharedmem import SharedArrays
from fastpong.settings.schedules import Schedule
from fastpong.settings.stages import Stage
from fastpong.training.goal import Goal
from fastpong.training.players import PRELOAD, make_player
from fastpong.training.trainer import Trainer

# --- runs: all that the project names -------------------------------------------------------------

SEED = 5

KARPATHY: dict[str, Any] = {"hidden": 64, "batch_size": 1, "learning_rate": 1e-2}
KERAS: dict[str, Any] = {"batch_size": 1}
PPO: dict[str, Any] = {
    **{"hidden": 32, "n_envs": 3, "n_steps": 64, "batch_size": 50, "n_epochs": 2},
    **{"cell_size": 4, "coarse_cells": "8x8:0.35 16x16:0.35"},
    **{"learning_rate": Schedule(1e-2, 1e-3, 500), "ent_coef": Schedule(0.005, 0.0005, 500)},
}
DQN: dict[str, Any] = {
    **{"hidden": 32, "n_envs": 3, "n_steps": 64, "batch_size": 50, "replay_ratio": 2.0},
    **{"cell_size": 8, "coarse_cells": "16x16:0.35 160x8:0.2", "n_step": 7},
    **{"learning_rate": Schedule(1e-2, 1e-3, 500), "learning_starts": 200, "buffer_size": 800},
    **{"target_update_interval": 7, "exploration_steps": 300, "max_grad_norm": 0.05},
}
# Hidden units that fill neither the kernels' groups of 16 nor a vector; more inputs.
ODD: dict[str, dict[str, Any]] = {
    "karpathy": {"hidden": 21, "batch_size": 2},
    "keras": {},
    "ppo": {
        **{"hidden": 75, "pixel_stride": 1, "frame_history": 1, "last_action": True},
        **{"weight_averaging": 2.0},
    },
    "dqn": {
        **{"hidden": 75, "pixel_stride": 2, "coarse_cells": "16x16:0.35 80x8:0.2"},
        **{"frame_history": 1, "last_action": False, "weight_averaging": 2.0},
    },
}


def stages() -> tuple[Stage, ...]:
    """Return stages of values with frame skips 4, 2 and 1, and one of a policy.

    Updates are of 192 steps: two in each stage of values, in the second of each something is
    learned. Then PPO makes updates of 300 steps, sharpened from the first.
    """
    seen = {
        **{"pixel_stride": 1, "frame_history": 2, "last_action": True, "hidden": 75},
        **{"n_envs": 3, "cell_size": 8, "coarse_cells": "16x16:0.35 160x8:0.2"},
    }
    values = {**DQN, **seen, "learning_starts": 100}
    two = {**values, "gamma": 0.9 ** (1 / 2), "n_step": 6, "replay_ratio": 2.0}
    one = {
        **{**values, "gamma": 0.95 ** (1 / 4), "n_step": 12, "replay_ratio": 2.0},
        **{"learning_rate": Schedule(5e-3, 5e-4, 300), "exploration_final_eps": 0.25},
    }
    policy = {
        **{**seen, "n_steps": 100, "learning_rate": Schedule(5e-3, 5e-4, 500)},
        **{"ent_coef": Schedule(0.1, 0.01, 500), "gamma": 0.95 ** (1 / 4)},
        **{"gae_lambda": 0.8 ** (1 / 4), "n_epochs": 2, "batch_size": 70},
    }
    settings, rate = AGENTS["dqn"].Settings, "learning_rate"
    return (
        Stage(agent="dqn", settings=settings(**values), set_in={rate: 0}),
        Stage(
            from_step=384, agent="dqn", frame_skip=2, settings=settings(**two), set_in={rate: 0}
        ),
        Stage(
            from_step=768, agent="dqn", frame_skip=1, settings=settings(**one), set_in={rate: 2}
        ),
        Stage(
            from_step=1152, agent="ppo", frame_skip=1, settings=AGENTS["ppo"].Settings(**policy),
            policy_temperature=0.5, sharpening=4.0, set_in={rate: 3, "ent_coef": 3},
        ),
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Case:
    """A run: so many updates of an agent, played by so many workers, learned by as many threads."""

    agent: str
    kind: str = ""  # "" as below, or "image" and "stages"
    dtype: str
    lag: int = 0
    workers: int = 1
    backend: str
    updates: int = 0
    emulator: str = "console"

    def __str__(self) -> str:
        return self.record + ("-ale" if self.emulator == "ale" else "")

    @property
    def record(self) -> str:
        """Name the case's record, the same for every emulator."""
        name = "-".join(filter(None, (self.agent, self.kind)))
        return f"{name}-{self.dtype}-lag{self.lag}-w{self.workers}-{self.backend}"

    @property
    def stages(self) -> tuple[Stage, ...]:
        if self.kind == "stages":
            return stages()
        common = {"karpathy": KARPATHY, "keras": KERAS, "ppo": PPO, "dqn": DQN}[self.agent]
        special = {"": ODD[self.agent] if self.lag else {}, "image": {"image_conv": True}}
        settings = {**common, **special[self.kind], "lag": self.lag}
        return (Stage(agent=self.agent, settings=AGENTS[self.agent].Settings(**settings)),)

    @property
    def env(self) -> str:
        return "ALE/Pong-v5" if self.agent == "dqn" else "PongDeterministic-v4"

    @property
    def length(self) -> int:
        usual = {"karpathy": 2, "keras": 2, "ppo": 4, "dqn": 5}
        special = {"image": 1, "stages": 9}
        return self.updates or special.get(self.kind, usual[self.agent])


NAMES = ("karpathy", "keras", "ppo", "dqn")
COMPILED = [
    *(
        Case(agent=agent, dtype=dtype, lag=lag, workers=workers, backend="cython")
        for agent, dtype, lag, workers in product(NAMES, ("float32", "float64"), (0, 1), (1, 2))
    ),
    *(
        Case(agent=agent, dtype=dtype, lag=lag, workers=workers, backend="numba")
        for agent in NAMES
        for dtype, lag, workers in (("float32", 0, 2), ("float64", 1, 1))
    ),
    Case(agent="keras", kind="image", dtype="float32", backend="cython"),
    *(
        Case(agent="dqn", kind="stages", dtype=dtype, workers=workers, backend="cython")
        for dtype, workers in (("float32", 1), ("float32", 2), ("float64", 2))
    ),
    Case(agent="dqn", kind="stages", dtype="float32", workers=2, backend="numba"),
]
# The emulators are alike: the hashes recorded with one hold for the other.
ON_ALE = [
    *(
        Case(agent=agent, dtype="float32", lag=lag, workers=2, backend="cython", emulator="ale")
        for agent, lag in product(NAMES, (0, 1))
    ),
    Case(agent="dqn", kind="stages", dtype="float32", workers=2, backend="cython", emulator="ale"),
]
# The oracle is slow: as few updates as there is something to see of the lag, or of all stages.
ORACLE = [
    *(
        Case(agent=agent, dtype="float64", lag=lag, workers=2 - lag, backend="numpy", updates=n)
        for agent, lag, n in (
            *(("karpathy", 0, 1), ("karpathy", 1, 2), ("keras", 0, 1), ("keras", 1, 2)),
            *(("ppo", 0, 2), ("ppo", 1, 2), ("dqn", 0, 3), ("dqn", 1, 3)),
        )
    ),
    Case(agent="dqn", kind="stages", dtype="float64", backend="numpy"),
]

WEIGHTS = ("parameters/0/",)
MOMENTS = ("state/cache/", "state/mean", "state/square", "state/average/", "state/target/")
FOLLOWERS = ("state/average/", "state/target/")
PLAYED = ("state/envs/", "state/replay/", "state/seen")


@dataclass
class Outcome:
    """Where a run ended: arrays by name, and what was counted."""

    arrays: Mapping[str, Any]
    steps: int
    frames: int

    def of(self, prefixes: tuple[str, ...]) -> dict[str, Any]:
        names = sorted(name for name in self.arrays if name.startswith(prefixes))
        return {name: self.arrays[name] for name in names}


def train(case: Case) -> Outcome:
    """Train for real, over a pool, until the case's updates are made."""
    stages = case.stages
    plan = make_plan(case.env, stages, case.backend, case.dtype, case.emulator)
    weights = SharedArrays(plan.stages[0].spec.shapes, case.dtype, stages[0].settings.lag + 1)
    chance, preload = Chance(SEED, TRAIN), PRELOAD[case.emulator]
    arguments = (case.env, stages, case.backend, case.dtype, chance, None, case.emulator)
    try:
        with Pool(make_player, arguments, weights, workers=case.workers, preload=preload) as pool:
            goal, threads = Goal(episodes=10**6), case.workers
            trainer = Trainer(plan, pool, weights, seed=SEED, goal=goal, threads=threads)
            for _ in trainer.run(lambda: bool(trainer.counters["update"] >= case.length)):
                pass
            found = trainer.snapshot()
    finally:
        weights.close()
    assert found.counters["update"] == case.length
    return Outcome(found.arrays, found.counters["total_steps"], found.counters["total_frames"])


# --- what is asserted of them ---------------------------------------------------------------------

PATH = Path(__file__).parents[1] / "golden" / "weights.json"


def machine() -> dict[str, str]:
    """Return what bits may depend on besides the code.

    The C library's exp has a form for each vector unit, and so has what Numba compiles; the Cython
    kernels are compiled without fused multiplications, the same everywhere.
    """
    found = np.show_config(mode="dicts")["SIMD Extensions"].get("found", [])
    return {
        "machine": platform.machine(),
        "vectors": " ".join(found),
        "libc": " ".join(platform.libc_ver()),
        "numpy": np.__version__,
        "ale_py": ale_py.__version__,
    }


def digest(arrays: Mapping[str, Any]) -> str:
    """Hash the arrays in the order of their names; the names themselves may change."""
    assert arrays
    total = hashlib.sha256()
    for array in arrays.values():
        total.update(f"{array.dtype.str}{array.shape}".encode())
        total.update(np.ascontiguousarray(array).tobytes())
    return total.hexdigest()


def pin(outcome: Outcome) -> dict[str, Any]:
    return {
        "frames": outcome.frames,
        "weights": digest(outcome.of(WEIGHTS)),
        "moments": digest(outcome.of(MOMENTS)),
    }


@pytest.mark.parametrize("case", [*COMPILED, *ON_ALE], ids=str)
def test_weights_are_as_recorded(case: Case) -> None:
    recorded = json.loads(PATH.read_text())
    found, expected = pin(train(case)), recorded["cases"][case.record]
    if found != expected and machine() != recorded["machine"]:
        pytest.skip(f"other bits, but recorded elsewhere: on {recorded['machine']}")
    assert found == expected


def test_every_record_has_its_case() -> None:
    assert sorted(json.loads(PATH.read_text())["cases"]) == sorted(map(str, COMPILED))


def test_records_do_not_depend_on_workers_or_threads() -> None:
    cases = json.loads(PATH.read_text())["cases"]
    pairs = [(name, name.replace("-w1-", "-w2-")) for name in cases if "-w1-" in name]
    both = [(one, two) for one, two in pairs if two in cases]
    assert len(both) > 16
    for one, two in both:
        assert cases[one] == cases[two], one


@pytest.mark.parametrize("case", ORACLE, ids=str)
def test_the_oracle_agrees(case: Case) -> None:
    """Within rounding, and not by hashes: NumPy's BLAS and its exp round otherwise elsewhere."""
    exact = train(case)
    for backend in ("cython", "numba"):
        found = train(Case(**{**vars(case), "backend": backend}))
        assert (found.steps, found.frames) == (exact.steps, exact.frames)
        for name, array in exact.of(PLAYED).items():
            assert np.array_equal(found.arrays[name], array), name
        for name, array in exact.of((*WEIGHTS, *FOLLOWERS)).items():
            assert_close(found.arrays[name], array, TRAINING)


def record() -> None:
    """Write the hashes of all cases, and say which differ from those that were there."""
    before = json.loads(PATH.read_text())["cases"] if PATH.exists() else {}
    cases = {str(case): pin(train(case)) for case in COMPILED}
    for name in sorted(before.keys() | cases.keys()):
        if before.get(name) != cases.get(name):
            print(f"{name}: {before.get(name)} -> {cases.get(name)}")
    PATH.write_text(json.dumps({"machine": machine(), "cases": cases}, indent=1) + "\n")


if __name__ == "__main__":
    if sys.argv[1:] != ["--record"]:
        sys.exit("usage: python tests/training/test_weights.py --record")
    record()
