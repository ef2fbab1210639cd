"""``fastpong train`` on clusters: moved from one to another, swept, and with the head gone."""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import recipe_trials
from commands import COMMAND, SMALL, fastpong, rows, training
from waiting import PATIENCE, until

pytest.importorskip("ray")

from ray_nodes import Nodes


@pytest.fixture
def another() -> Iterator[Nodes]:
    """Return a cluster of one node besides, that a test may destroy."""
    with contextlib.closing(Nodes()) as nodes:
        nodes.want(1)
        yield nodes


def checkpoints(run: Path) -> dict[int, str]:
    """Return the hashes of checkpoints by episode."""
    paths = (run / "checkpoints").glob("*.safetensors")
    return {int(path.stem): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def local(directory: Path, episodes: int, *options: object) -> str:
    """Return the hash of the last weights of a run on this machine."""
    how = [*SMALL, "--episodes", episodes, "--run-dir", "local", *options]
    done = fastpong("train", *how, cwd=directory)
    assert done.returncode == 0, done
    return checkpoints(directory / "local")[episodes]


def test_a_run_goes_on_in_another_cluster(nodes: Nodes, another: Nodes, tmp_path: Path) -> None:
    nodes.want(2)
    how = ["--pool", nodes.address, "--workers", 2, "--save-every", 1, "--run-dir", "run"]
    with training(*how, cwd=tmp_path) as process:
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        printed, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130 and errors == "", (printed, errors)
    assert until(lambda: not nodes.workers())
    more = 2 + max(checkpoints(tmp_path / "run"))
    how = ["--resume", "run", "--pool", another.address, "--episodes", more]
    done = fastpong("train", *how, cwd=tmp_path)
    assert done.returncode == 0, done
    assert until(lambda: not another.workers())
    assert {path.name for path in tmp_path.iterdir()} == {"run"}
    assert checkpoints(tmp_path / "run")[more] == local(tmp_path, more)


@pytest.mark.parametrize(
    ("processes", "reason"),
    [
        (["gcs_server"], "expected the head of the cluster to answer, got nothing for 20 s;"),
        (["raylet"], "expected Ray to run on this machine, but its raylet has ended; go on"),
        (["raylet", "gcs_server"], "expected Ray to run on this machine, but its raylet has ended"),
    ],
)
def test_the_head_is_killed(
    another: Nodes, tmp_path: Path, processes: list[str], reason: str
) -> None:
    """The driver belongs to it, and ends with one message and a checkpoint."""
    how = ["--pool", another.address, "--save-every", 1000000, "--run-dir", "run"]
    with training(*how, cwd=tmp_path) as process:
        another.kill_head(*processes)
        printed, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1, (printed, errors)
    assert errors.startswith(f"fastpong: error: {reason}") and errors.count("\n") == 1, errors
    assert all(line.startswith(("episode ", "\n")) for line in printed.splitlines()), printed
    last = max(checkpoints(tmp_path / "run"))
    assert last > 0
    done = fastpong(
        "train", "--resume", "run", "--pool", "local", "--episodes", last + 2, cwd=tmp_path
    )
    assert done.returncode == 0, done
    assert checkpoints(tmp_path / "run")[last + 2] == local(tmp_path, last + 2)


def test_seeds_share_a_cluster(nodes: Nodes, tmp_path: Path) -> None:
    nodes.want(2)
    how = [*SMALL, "--seeds", 1, 2, "--pool", nodes.address, "--episodes", 2, "--run-dir", "swept"]
    done = fastpong("train", *how, cwd=tmp_path)
    assert done.returncode == 0, done
    assert "sweep of 2 seeds, 2 at a time with 1 worker each" in done.stdout
    assert until(lambda: not nodes.workers())
    assert {path.name for path in tmp_path.iterdir()} == {"swept"}
    runs = {path.name for path in (tmp_path / "swept").iterdir() if path.is_dir()}
    assert {"seed-1", "seed-2"} <= runs
    assert checkpoints(tmp_path / "swept/seed-2")[2] == local(tmp_path, 2, "--seed", 2)


def test_ctrl_c_ends_all_seeds(nodes: Nodes, tmp_path: Path) -> None:
    nodes.want(2)
    how = ["--seeds", 1, 2, 3, "--pool", nodes.address, "--run-dir", "swept", "--no-progress"]
    runs = [tmp_path / "swept" / f"seed-{seed}" for seed in (1, 2)]
    process = subprocess.Popen(
        [*COMMAND, "train", *SMALL, *map(str, how)],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        until(lambda: all((run / "metrics.csv").exists() and rows(run) for run in runs))
        os.killpg(process.pid, signal.SIGINT)
        printed, errors = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
    assert process.returncode == 130, (printed, errors)
    assert "Traceback" not in printed + errors
    assert all(max(checkpoints(run)) > 0 for run in runs)
    assert until(lambda: not nodes.workers())
    assert not (tmp_path / "swept" / "seed-3").exists()


def test_trials_of_a_recipe_share_a_cluster(nodes: Nodes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two programs at a time, each with a run directory of its own, which it removes."""
    nodes.want(2)
    monkeypatch.setattr(recipe_trials, "POINTS", (0.006,))
    small = ["--hidden", "8", "--n-envs", "2", "--n-steps", "64", "--batch-size", "64"]

    def try_out(pool: str) -> list[str]:
        return recipe_trials.train("PongDeterministic-v4", 3, 6000, [*small, "--pool", pool])

    with ThreadPoolExecutor(2) as threads:
        found = list(threads.map(try_out, (nodes.address, nodes.address)))
    assert found == 2 * [try_out("local")] and found[0][0] != ""
    assert until(lambda: not nodes.workers())
