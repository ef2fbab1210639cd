"""Weights of short training runs, to the bit: what moves code must not move them.

``golden/weights.json`` keeps the hashes, of parameters and of what the optimizers remember, and the
number of frames played, which tells other play from other learning. After a change that is meant to
change weights, record them anew and say in the commit why:

    python tests/test_weights.py --record

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

from fastpong.agents import PRELOAD, create, make_player
from fastpong.agents import karpathy as pg
from fastpong.agents import keras_conv as conv
from fastpong.agents.dqn import settings as dqn_settings
from fastpong.agents.ppo import agent as ppo
from fastpong.envs.draws import TRAIN
from fastpong.runtime.pool import Pool
from fastpong.runtime.sharedmem import SharedArrays
from fastpong.training.trainer import Trainer

# --- runs: all that the project names -------------------------------------------------------------

SEED = 5

PG: dict[str, Any] = {"hidden": 64, "batch_size": 1, "learning_rate": 1e-2}
CONV: dict[str, Any] = {"batch_size": 1}
PPO: dict[str, Any] = {
    **{"hidden": 32, "lanes": 3, "segment": 64, "minibatch": 50, "epochs": 2, "anneal": 500},
    **{"resolution": 4, "levels": "8x8:0.35 16x16:0.35", "learning_rate": 1e-2},
}
DQN: dict[str, Any] = {
    **{"hidden": 32, "lanes": 3, "segment": 64, "minibatch": 50, "reuse": 2.0, "returns": 7},
    **{"resolution": 8, "levels": "16x16:0.35 160x8:0.2", "learning_rate": 1e-2, "anneal": 500},
    **{"warmup": 200, "replay": 800, "target": 7, "explore": 300, "max_norm": 0.05},
}
# Hidden units that fill neither the kernels' groups of 16 nor a vector; more inputs.
ODD: dict[str, dict[str, Any]] = {
    "pg": {"hidden": 21, "batch_size": 2},
    "conv": {},
    "ppo": {"hidden": 75, "stride": 1, "history": 1, "last_action": True, "averaging": 2.0},
    "dqn": {
        **{"hidden": 75, "stride": 2, "levels": "16x16:0.35 80x8:0.2", "history": 1},
        **{"last_action": False, "averaging": 2.0},
    },
}
# Rounds of 192 decisions: two are played for 4 frames each, two for 2, two for 1, in the second of
# each something is learned. Then the policy is refined in rounds of 300, sharpened from the first.
STAGES: dict[str, Any] = {
    **{"hidden": 75, "warmup": 100, "fine": "384 768", "refine": 1152, "refine_segment": 100},
    **{"fine_gamma": 0.9, "fine_returns": 3, "fine_reuse": 4.0, "finest_gamma": 0.95},
    **{"finest_reuse": 8.0, "finest_learning_rate": 5e-3, "finest_anneal": 300},
    **{"finest_exploration": 0.25, "refine_temperature": 0.5, "refine_learning_rate": 5e-3},
    **{"refine_anneal": 500, "refine_sharpening": 4.0, "refine_lambda": 0.8, "refine_epochs": 2},
    **{"refine_minibatch": 70, "refine_entropy": 0.1},
}


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

    def __str__(self) -> str:
        name = "-".join(filter(None, (self.agent, self.kind)))
        return f"{name}-{self.dtype}-lag{self.lag}-w{self.workers}-{self.backend}"

    @property
    def settings(self) -> Any:
        kinds = {
            "pg": (pg.Settings, PG),
            "conv": (conv.Settings, CONV),
            "ppo": (ppo.Settings, PPO),
            "dqn": (dqn_settings.Settings, DQN),
        }
        make, common = kinds[self.agent]
        special = {"": ODD[self.agent] if self.lag else {}, "image": {"image_conv": True}}
        return make(**{**common, **{**special, "stages": STAGES}[self.kind], "lag": self.lag})

    @property
    def env(self) -> str:
        return "ALE/Pong-v5" if self.agent == "dqn" else "PongDeterministic-v4"

    @property
    def length(self) -> int:
        usual = {"pg": 2, "conv": 2, "ppo": 4, "dqn": 5}
        special = {"image": 1, "stages": 9}
        return self.updates or special.get(self.kind, usual[self.agent])


AGENTS = ("pg", "conv", "ppo", "dqn")
COMPILED = [
    *(
        Case(agent=agent, dtype=dtype, lag=lag, workers=workers, backend="cython")
        for agent, dtype, lag, workers in product(AGENTS, ("float32", "float64"), (0, 1), (1, 2))
    ),
    *(
        Case(agent=agent, dtype=dtype, lag=lag, workers=workers, backend="numba")
        for agent in AGENTS
        for dtype, lag, workers in (("float32", 0, 2), ("float64", 1, 1))
    ),
    Case(agent="conv", kind="image", dtype="float32", backend="cython"),
    *(
        Case(agent="dqn", kind="stages", dtype=dtype, workers=workers, backend="cython")
        for dtype, workers in (("float32", 1), ("float32", 2), ("float64", 2))
    ),
    Case(agent="dqn", kind="stages", dtype="float32", workers=2, backend="numba"),
]
# The oracle is slow: as few updates as there is something to see of the lag, or of all stages.
ORACLE = [
    *(
        Case(agent=agent, dtype="float64", lag=lag, workers=2 - lag, backend="numpy", updates=n)
        for agent, lag, n in (
            *(("pg", 0, 1), ("pg", 1, 2), ("conv", 0, 1), ("conv", 1, 2)),
            *(("ppo", 0, 2), ("ppo", 1, 2), ("dqn", 0, 3), ("dqn", 1, 3)),
        )
    ),
    Case(agent="dqn", kind="stages", dtype="float64", backend="numpy"),
]

WEIGHTS = ("parameters/0/",)
MOMENTS = ("state/cache/", "state/mean", "state/square", "state/average/", "state/target/")
PLAYED = ("state/lanes/", "state/replay/actions", "state/replay/rewards", "state/seen")


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
    settings = case.settings
    agent = create(case.agent, settings, case.backend, case.dtype)
    agent.threads = case.workers
    weights = SharedArrays(agent.shapes, case.dtype, settings.lag + 1)
    arguments = (
        *(case.agent, settings, case.backend, case.dtype),
        *(case.env, SEED, TRAIN, False),
    )
    try:
        with Pool(make_player, arguments, weights, workers=case.workers, preload=PRELOAD) as pool:
            trainer = Trainer(agent, pool, weights, seed=SEED, episodes=10**6)
            for _ in trainer.run(lambda: bool(trainer.counters["update"] >= case.length)):
                pass
            found = trainer.snapshot()
    finally:
        weights.close()
    assert found.counters["update"] == case.length
    return Outcome(found.arrays, found.counters["total_steps"], found.counters["total_frames"])


# --- what is asserted of them ---------------------------------------------------------------------

PATH = Path(__file__).parent / "golden" / "weights.json"


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


@pytest.mark.parametrize("case", COMPILED, ids=str)
def test_weights_are_as_recorded(case: Case) -> None:
    recorded = json.loads(PATH.read_text())
    found, expected = pin(train(case)), recorded["cases"][str(case)]
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
    found = train(Case(**{**vars(case), "backend": "cython"}))
    assert (found.steps, found.frames) == (exact.steps, exact.frames)
    for name, array in exact.of(PLAYED).items():
        assert np.array_equal(found.arrays[name], array), name
    for name, array in exact.of(WEIGHTS).items():
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
        sys.exit("usage: python tests/test_weights.py --record")
    record()
