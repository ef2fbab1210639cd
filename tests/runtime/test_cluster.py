"""What a pool in a cluster decides by itself, without Ray."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pool_players
import pytest
from commands import SMALL, complaint, fastpong
from waiting import PATIENCE, until

from fastpong.extras import how_to_install
from fastpong.runtime.cluster import alike, leftovers
from fastpong.runtime.cluster.actor import LACKING, RayWorker, pickled
from fastpong.runtime.cluster.address import ALL, check_pool, endpoint, in_cluster
from fastpong.runtime.cluster.crew import Crew
from fastpong.runtime.deadlines import Lengths
from fastpong.runtime.pool import WorkerError
from fastpong.runtime.tasks import Task
from fastpong.runtime.worker import READY
from fastpong.settings.config import Config, available_cores


@pytest.mark.parametrize("name", ["local", "ray", "h:1", "ray://10.0.0.1:10001", "[::1]:6379"])
def test_names_of_pools(name: str) -> None:
    check_pool(name)
    assert Config.build({"pool": name}).pool == name


@pytest.mark.parametrize(
    "name", ["", "Ray", "ray://", "ray://h", "h", "h:0", "h:65536", "http://h:1", "h:1/x", "a b:1"]
)
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(ValueError, match=r"pool: expected local, ray, HOST:PORT or ray://"):
        Config.build({"pool": name})


def test_a_name_of_a_pool_that_has_no_end_is_cut_off() -> None:
    with pytest.raises(ValueError) as caught:
        Config.build({"pool": "9" * 5000})
    assert len(str(caught.value)) < 300


def test_endpoints() -> None:
    assert endpoint("h.x-y:6379") == ("h.x-y", 6379)
    assert endpoint("ray://[fe80::1]:10001") == ("fe80::1", 10001)


def test_a_cluster_has_as_many_workers_as_cpus_unless_told() -> None:
    assert in_cluster("h:1") and not in_cluster("ray") and not in_cluster("local")
    assert Config.build({"pool": "h:1"}).workers == ALL
    assert Config.build({"pool": "h:1", "workers": 3}).workers == 3
    assert Config.build({"pool": "ray"}).workers == available_cores()


def test_a_pool_is_no_part_of_what_decides_weights() -> None:
    assert "pool" not in Config.build({"pool": "h:1"}).fixed()


def test_without_ray_there_is_one_message(tmp_path: Path) -> None:
    for name in ("grpc", "ray"):
        (tmp_path / f"{name}.py").write_text("raise ImportError('No module named ray')")
    done = fastpong("train", "--pool", "ray", cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)})
    assert complaint(done).endswith(
        f"pool ray: expected Ray to be installed, but No module named ray; {how_to_install('ray')}"
    )
    assert not (tmp_path / "runs").exists()


def test_a_resumption_without_its_pool_keeps_the_settings(tmp_path: Path) -> None:
    """Where Ray is not installed, and where no cluster is."""
    done = fastpong("train", *SMALL, "--episodes", 1, "--run-dir", "run", cwd=tmp_path)
    assert done.returncode == 0, done
    kept = [tmp_path / "run" / name for name in ("config.toml", "versions.json", "metrics.csv")]
    before = [path.read_bytes() for path in kept]
    elsewhere = ["--pool", "127.0.0.1:1", "--workers", 7, "--episodes", 3]
    done = fastpong("train", "--resume", "run", *elsewhere, cwd=tmp_path)
    assert done.returncode == 1 and "pool 127.0.0.1:1: expected" in complaint(done)
    assert [path.read_bytes() for path in kept] == before
    done = fastpong("train", "--resume", "run", "--episodes", 3, cwd=tmp_path)
    assert done.returncode == 0, done


def test_starting_workers_that_die_within_a_second_are_one_loss() -> None:
    ray = SimpleNamespace(remote=lambda **_: lambda kind: kind)
    connection: Any = SimpleNamespace(ray=ray)
    now = 0.0
    crew = Crew(connection, (), workers=8, attempts=2, lengths=Lengths(clock=lambda: now))
    for _ in range(8):
        crew._fail_start(RuntimeError("the node is gone"))
    now = 1.0
    with pytest.raises(WorkerError, match="could not start in the cluster"):
        crew._fail_start(RuntimeError("the node is gone"))


def test_a_worker_plays_with_the_weights_of_the_task_alone(tmp_path: Path) -> None:
    """Ray drops a task whose weights are lost, and runs the next, which comes without."""
    worker, about = RayWorker(), ("pong", "cython", "console")
    cargo = pickled(pool_players.make_player, (tmp_path,))
    assert worker.prepare(cargo, about, alike.facts(*about))[:1] == READY
    message = pickle.dumps(Task(3, 7))
    assert worker.play([message], 1)[1] == [LACKING]
    calls = worker.play([message], 1, {"w": np.ones(1)}), worker.play([message] * 2, 1)
    found = [answer for _, answers in calls for answer in answers]
    assert [pickle.loads(answer[1:]) for answer in found] == [pool_players.expected(3, 1.0)] * 3
    assert worker.play([message], 2)[1] == [LACKING]
    assert len(pool_players.starts(tmp_path, 3)) == 3


def test_facts_that_differ() -> None:
    mine = alike.facts("pong", "numba", "ale")
    assert alike.difference(mine, dict(mine)) is None
    assert {"Numba", "llvmlite", "ale-py", "ROM pong", "machine"} < {*mine}
    other = {**mine, "machine": "aarch64", "NumPy": "0.1"}
    assert alike.difference(mine, other) == f"NumPy: 0.1 there, {mine['NumPy']} here"
    del other["NumPy"]
    assert alike.difference(mine, other) == f"NumPy: none there, {mine['NumPy']} here"


def test_numpy_for_other_processors_is_found_out() -> None:
    """A machine without AVX-512 may round exp otherwise, and then is told apart."""
    code = "from fastpong.runtime.cluster import alike; import numpy as np; x = np.float32;"
    code += "print(alike._rounding(), np.exp(np.linspace(-30, 30, 2000).astype(x)).tobytes().hex())"
    found = set()
    for disabled in ("", "AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL"):
        done = subprocess.run(
            [sys.executable, "-P", "-W", "ignore", "-c", code],
            env=os.environ | {"NPY_DISABLE_CPU_FEATURES": disabled},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        found.add(tuple(done.stdout.split()))
    hashes, values = zip(*found, strict=True)
    assert len({*hashes}) >= len({*values})  # NumPy 1.26 rounds more than exp otherwise


def test_what_a_killed_run_left_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leftovers, "_parents", lambda: [str(tmp_path)])
    mine = leftovers.make_directory()
    dead = subprocess.Popen(["true"])
    dead.wait()
    orphaned = tmp_path / f"fastpong-ray-{dead.pid}-abc"
    other = tmp_path / "fastpong-ray-notes"
    elsewhere = tmp_path / f"fastpong-ray-{dead.pid}-def"  # of another machine
    for directory, home in ((orphaned, leftovers._home()), (other, ""), (elsewhere, "there")):
        directory.mkdir()
        (directory / leftovers._HOME).write_text(home)
    code = "import sys, time; f = open(sys.argv[1], 'w'); print(flush=True); time.sleep(60)"
    agent = subprocess.Popen(
        [sys.executable, "-c", code, str(orphaned / "log")], stdout=subprocess.PIPE
    )
    assert agent.stdout is not None
    agent.stdout.readline()
    leftovers.sweep()
    assert agent.wait(PATIENCE) < 0
    agent.stdout.close()
    assert {*tmp_path.iterdir()} == {mine, other, elsewhere}
    leftovers.remove(mine)
    assert {*tmp_path.iterdir()} == {other, elsewhere}


@pytest.mark.parametrize(
    ("temporary", "parents"),
    [
        ("/tmp", ["/tmp"]),
        ("/scratch/job7", ["/scratch/job7"]),
        ("/scratch/job42", ["/scratch/job42", "/tmp"]),
        ("/scratch/läuf", ["/scratch/läuf", "/tmp"]),  # 14 bytes
    ],
)
def test_names_of_sockets_are_short_enough(
    temporary: str, parents: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", temporary)
    assert leftovers._parents() == parents


def test_a_killed_run_is_cleaned_up_at_once(tmp_path: Path) -> None:
    directory = tmp_path / "fastpong-ray-1-abc"
    directory.mkdir()
    code = "import sys, time; from pathlib import Path\n"
    code += "from fastpong.runtime.cluster import leftovers"
    code += "; leftovers.watch(Path(sys.argv[1])); print(flush=True); time.sleep(60)"
    run = subprocess.Popen(
        [sys.executable, "-P", "-c", code, str(directory)], stdout=subprocess.PIPE
    )
    assert run.stdout is not None
    run.stdout.readline()
    assert directory.exists()
    run.kill()
    run.communicate()
    until(lambda: not directory.exists())
