"""Run directories: what is written, how a run goes on, and what it survives."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import run_cases
import tensorboardX
from run_cases import config, snapshot, stats
from tensorboardX.proto import event_pb2
from waiting import PATIENCE

from fastpong.runtime.cluster.address import ALL
from fastpong.settings.config import Config, available_cores
from fastpong.storage import run as runs
from fastpong.storage.manifest import signed
from fastpong.storage.run import Run, RunError
from fastpong.storage.versions import versions

HEADER = (
    "episode,return,length,frames,running_mean,update,total_steps,total_frames,wall_seconds,"
    "cpu_seconds"
)


def make(directory: Path, episodes: int, saved: tuple[int, ...], **changes: Any) -> Path:
    """A run that played, saved, and ended."""
    with Run.create(directory, config(**changes)) as run:
        for episode in range(1, episodes + 1):
            run.log(stats(episode))
            if episode in saved:
                assert run.save(snapshot(episode))
    return directory


def rows(directory: Path) -> list[dict[str, str]]:
    with (directory / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


# An event file, read by the definition of its format.


def crc32c(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def masked(data: bytes) -> bytes:
    crc = crc32c(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def events_of(path: Path) -> list[Any]:
    data, events = path.read_bytes(), []
    while data:
        (length,) = struct.unpack("<Q", data[:8])
        assert data[8:12] == masked(data[:8])
        event, check, data = data[12 : 12 + length], data[12 + length :][:4], data[16 + length :]
        assert check == masked(event)
        events.append(event_pb2.Event.FromString(event))
        events[-1].wall_time = 0
    return events


def event_files(directory: Path) -> list[Path]:
    return sorted(directory.glob("events.out.tfevents.*"))


def scalars(directory: Path) -> dict[int, dict[str, float]]:
    """What TensorBoard shows: later files purge what earlier ones have from their first step on."""
    shown: dict[int, dict[str, float]] = {}
    for path in event_files(directory):
        for event in events_of(path):
            if event.HasField("session_log"):
                shown = {step: values for step, values in shown.items() if step < event.step}
            if event.summary.value:
                shown[event.step] = {v.tag: v.simple_value for v in event.summary.value}
    return shown


def test_a_new_run_holds_its_settings_and_versions(tmp_path: Path) -> None:
    settings = config(seed=7)
    with Run.create(tmp_path / "a" / "run", settings) as run:
        assert (run.checkpoint, run.refusals, run.config) == (None, [], settings)
        assert Config.build(Config.load(run.directory / "config.toml")) == settings
        found = json.loads((run.directory / "versions.json").read_text())
        assert found["numpy"] == np.__version__
        assert found["python"] == ".".join(map(str, sys.version_info[:3]))
        assert found["backend"] == "numpy"
        assert found["emulator"] == "console"
        assert {"fastpong", "numba", "cython", "ale-py", "gymnasium", "platform", "cpu"} <= set(
            found
        )
        assert (run.directory / "metrics.csv").read_text() == HEADER + "\n"


def test_the_commit_is_that_of_the_checkout() -> None:
    root = Path(runs.__file__).parents[2]
    command = ["git", "-C", str(root), "rev-parse", "HEAD"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    if not (root / ".git").exists() or result.returncode:
        pytest.skip("not in a checkout")
    commit = versions("numpy")["commit"]
    assert commit.removesuffix("-dirty") == result.stdout.strip()


def test_a_run_is_named_after_its_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with Run.create(None, config(env="ALE/Pong-v5", seed=3)) as run:
        assert re.fullmatch(r"runs/ALE-Pong-v5__karpathy__3__\d{8}T\d{6}Z", str(run.directory))
        assert run.directory.is_dir()


def test_runs_of_the_same_second_have_directories_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "default_directory", lambda config: tmp_path / "runs" / "same")
    directories = []
    for _ in range(3):
        with Run.create(None, config()) as run:
            directories.append(run.directory.name)
    assert directories == ["same", "same-2", "same-3"]


def test_nothing_that_exists_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("all of it")
    with pytest.raises(RunError, match="expected a new or an empty directory"):
        Run.create(tmp_path / "full", config())
    make(tmp_path / "run", 1, (1,))
    before = {p.name: p.read_bytes() for p in (tmp_path / "run").iterdir() if p.is_file()}
    with pytest.raises(RunError, match="resume the run"):
        Run.create(tmp_path / "run", config())
    assert {p.name: p.read_bytes() for p in (tmp_path / "run").iterdir() if p.is_file()} == before
    for path in (tmp_path / "full" / "thesis.txt", tmp_path / "full" / "thesis.txt" / "run"):
        with pytest.raises(RunError, match="cannot make a run here"):
            Run.create(path, config())


def test_an_empty_directory_is_fine_also_after_a_failure(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text("")
    with pytest.raises(RunError):
        Run.create(tmp_path, config())
    (tmp_path / "metrics.csv").unlink()
    Run.create(tmp_path, config()).close()


def test_metrics_are_on_disk_at_once_and_exact(tmp_path: Path) -> None:
    with Run.create(tmp_path, config()) as run:
        for episode in range(1, 4):
            run.log(stats(episode))
            found = rows(tmp_path)
            assert len(found) == episode
            row, expected = found[-1], stats(episode)
            assert ",".join(row) == HEADER
            assert float(row["return"]) == expected.score
            for name in HEADER.split(",")[2:]:
                assert type(getattr(expected, name))(row[name]) == getattr(expected, name)


def test_tensorboard_scalars(tmp_path: Path) -> None:
    with Run.create(tmp_path, config()) as run:
        for episode in range(1, 151):
            run.log(stats(episode))
            if episode < 4:
                assert len(events_of(event_files(tmp_path)[0])) == episode + 1
    shown = scalars(tmp_path)
    assert list(shown) == [stats(episode).total_steps for episode in range(1, 151)]
    for episode in (1, 2, 100, 101, 150):
        window = range(max(1, episode - 99), episode + 1)
        lengths = [stats(e).length for e in window]
        expected = {
            "rollout/ep_rew_mean": np.mean([stats(e).score for e in window]),
            "rollout/ep_len_mean": np.mean(lengths),
            "time/fps": 3 * sum(lengths) * 7 / len(window),
            "charts/SPS": sum(lengths) * 7 / len(window),
            "time/total_timesteps": stats(episode).total_steps,
            "charts/episodic_return": stats(episode).score,
            "charts/episodic_length": stats(episode).length,
            "train/gradient_norm": stats(episode).diagnostics["gradient_norm"],
        }
        assert shown[stats(episode).total_steps] == pytest.approx(expected, rel=1e-6)


def test_event_files_are_those_of_tensorboardx(tmp_path: Path) -> None:
    """The same marks at the start, also of a resumed run, and the same events."""
    directory = make(tmp_path / "run", 1, (1,))
    with Run.resume(directory) as run:
        run.log(stats(2))
    first, second = map(events_of, event_files(directory))
    for name, ours, purge_step in (("a", first, None), ("b", second, first[-1].step + 1)):
        with tensorboardX.SummaryWriter(str(tmp_path / name), purge_step=purge_step) as writer:
            for event in ours:
                for v in event.summary.value:
                    writer.add_scalar(v.tag, v.simple_value, event.step)
        (path,) = event_files(tmp_path / name)
        theirs = events_of(path)
        marks = [event for event in theirs if not event.summary.value]
        # theirs: a version twice, the second with the purged step
        assert {e.file_version for e in marks} - {""} == {ours[0].file_version}
        logs = [(e.step, e.session_log) for e in marks if e.HasField("session_log")]
        assert [(e.step, e.session_log) for e in ours if e.HasField("session_log")] == logs
        values = [v for event in theirs for v in event.summary.value]
        assert [(v.tag, v.simple_value) for v in values] == [
            (v.tag, v.simple_value) for event in ours for v in event.summary.value
        ]


def test_a_checkpoint_holds_the_snapshot_and_the_settings(tmp_path: Path) -> None:
    make(tmp_path / "run", 5, (2, 4))
    with Run.resume(tmp_path / "run") as run:
        assert run.checkpoint is not None
        manifest = run.checkpoint.manifest
        assert run.refusals == []
        assert manifest["counters"] == snapshot(4).counters
        assert manifest["config"] == config().flat()
        assert [manifest[name] for name in ("agent", "env", "seed")] == ["karpathy", "Pong-v0", 0]
        np.testing.assert_array_equal(
            run.checkpoint.arrays["parameters/0/w2"], snapshot(4).arrays["parameters/0/w2"]
        )


def test_workers_of_a_cluster_are_not_those_of_this_machine(tmp_path: Path) -> None:
    here, there = {"pool": "local"}, {"pool": "h:6379"}
    make(tmp_path, 2, (2,), pool="h:6379", workers=ALL)
    steps: list[tuple[dict[str, Any], int]] = [
        ({"pool": "other:1"}, ALL),
        ({"pool": "ray"}, available_cores()),
        (there, ALL),
        (here, available_cores()),
        (here | {"workers": 3}, 3),
        ({"pool": "ray"}, 3),
        (there | {"workers": 5}, 5),
        ({"episodes": 9}, 5),
    ]
    for overrides, workers in steps:
        with Run.resume(tmp_path, overrides=overrides) as run:
            run.begin()
            assert (run.config.workers, run.config.pool) == (
                workers, overrides.get("pool", "h:6379"),
            )  # fmt: skip


@pytest.mark.parametrize("saved", [1, 4, 120])
def test_a_resumed_run_leaves_the_logs_of_one_that_never_stopped(
    tmp_path: Path, saved: int
) -> None:
    make(tmp_path / "whole", saved + 9, ())
    make(tmp_path / "halved", saved + 3, (saved,))
    with Run.resume(tmp_path / "halved") as run:
        assert len(rows(run.directory)) == saved
        for episode in range(saved + 1, saved + 10):
            run.log(stats(episode))
    assert (tmp_path / "halved" / "metrics.csv").read_bytes() == (
        tmp_path / "whole" / "metrics.csv"
    ).read_bytes()
    assert scalars(tmp_path / "halved") == scalars(tmp_path / "whole")


def test_every_resumption_is_recorded(tmp_path: Path) -> None:
    make(tmp_path, 4, (2,))
    for workers in (2, 3):
        with Run.resume(tmp_path, overrides={"workers": workers, "episodes": 50}) as run:
            assert run.config == config(workers=workers, episodes=50)
            run.begin()
        assert Config.load(tmp_path / "config.toml")["workers"] == workers
    found = json.loads((tmp_path / "versions.json").read_text())
    assert [entry["episode"] for entry in found["resumed"]] == [2, 2]
    assert found["numpy"] == found["resumed"][0]["numpy"]
    (tmp_path / "versions.json").write_text("[")
    with Run.resume(tmp_path) as run:
        run.begin()
    assert len(json.loads((tmp_path / "versions.json").read_text())["resumed"]) == 1


@pytest.mark.parametrize("tail", [b"7,1.0,3", b"\0" * 4096, b"", b"5,-1.0,7\n9"])
def test_torn_rows_are_cut_off(tmp_path: Path, tail: bytes) -> None:
    make(tmp_path, 6, (5,))
    path = tmp_path / "metrics.csv"
    path.write_bytes(path.read_bytes() + tail)
    with Run.resume(tmp_path) as run:
        run.log(stats(6))
    assert [int(row["episode"]) for row in rows(tmp_path)] == [1, 2, 3, 4, 5, 6]


def test_metrics_saved_by_a_spreadsheet_are_read(tmp_path: Path) -> None:
    make(tmp_path, 6, (5,))
    path = tmp_path / "metrics.csv"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    with Run.resume(tmp_path) as run:
        run.log(stats(6))
    text = path.read_text(encoding="utf-8-sig").splitlines()
    assert [line.split(",")[0] for line in text] == ["episode", "1", "2", "3", "4", "5", "6"]


def test_a_foreign_log_is_kept_aside_aloud(tmp_path: Path) -> None:
    make(tmp_path, 3, (2,))
    path, heard = tmp_path / "metrics.csv", []
    for number in (1, 2):
        path.write_text("a;b\n")
        with Run.resume(tmp_path, warn=heard.append) as run:
            run.log(stats(3))
        assert [int(row["episode"]) for row in rows(tmp_path)] == [3]
        assert (tmp_path / f"metrics.csv.kept-{number}").read_text() == "a;b\n"
        assert f"kept as {tmp_path}/metrics.csv.kept-{number}" in heard[-2]


def test_settings_saved_by_notepad_are_read(tmp_path: Path) -> None:
    make(tmp_path, 3, (2,))
    path = tmp_path / "config.toml"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    Run.resume(tmp_path).close()


@pytest.mark.parametrize("content", [None, b"", HEADER[:20].encode()])
def test_lost_metrics_begin_anew(tmp_path: Path, content: bytes | None) -> None:
    make(tmp_path, 3, (2,))
    path = tmp_path / "metrics.csv"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.warns(UserWarning, match="has no rows of 2 episodes, the first is 1"):
        run = Run.resume(tmp_path)
    with run:
        run.log(stats(3))
    assert [int(row["episode"]) for row in rows(tmp_path)] == [3]


@pytest.mark.parametrize(
    ("gone", "said"),
    [((2, 3), "2 episodes, the first is 2"), ((6,), "1 episode, the first is 6"), ((9,), None)],
)
def test_a_gap_in_the_metrics_is_said(
    tmp_path: Path, gone: tuple[int, ...], said: str | None
) -> None:
    make(tmp_path, 9, (6,))
    path, heard = tmp_path / "metrics.csv", []
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(line for n, line in enumerate(lines) if n not in gone))
    with Run.resume(tmp_path, warn=heard.append):
        assert len(heard) == (said is not None)
        assert said is None or f"metrics.csv: has no rows of {said};" in heard[0]


def test_a_broken_checkpoint_is_passed_over_aloud(tmp_path: Path) -> None:
    make(tmp_path, 6, (2, 4, 6))
    (tmp_path / "checkpoints" / "00000006.safetensors").write_bytes(b"x")
    (tmp_path / "checkpoints" / "00000004.json").write_bytes(b"x")
    with Run.resume(tmp_path) as run:
        assert run.checkpoint is not None
        assert run.checkpoint.episode == 2
        assert [name in text for name, text in zip(("06", "04"), run.refusals, strict=True)] == [
            True,
            True,
        ]
        assert [int(row["episode"]) for row in rows(tmp_path)] == [1, 2]


def break_checkpoint(directory: Path) -> None:
    for path in (directory / "checkpoints").glob("*.json"):
        path.write_bytes(b"{}")


def edit(directory: Path, old: str, new: str) -> None:
    path = directory / "config.toml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.mark.parametrize(
    ("damage", "overrides", "message"),
    [
        (lambda d: (d / "config.toml").unlink(), {}, "expected a run"),
        (lambda d: (d / "checkpoints").rename(d / "x"), {}, "expected a whole checkpoint"),
        (break_checkpoint, {}, "expected a whole checkpoint: .*manifest"),
        (lambda d: edit(d, "hidden = 3", "hidden = "), {}, "config.toml: expected a TOML file"),
        (lambda d: edit(d, "hidden = 3", "hiden = 3"), {}, "the nearest is hidden"),
        (lambda d: edit(d, "hidden = 3", "hidden = 4"), {}, "hidden is 4 .* 3 in 00000002.json"),
        (lambda d: None, {"hidden": 4}, "hidden is 3 .* 4 asked for; it cannot change"),
        (lambda d: None, {"agent": "other"}, "agent: expected one of karpathy"),
        (lambda d: None, {"seed": 1, "workers": 2}, "seed is 0"),
        (lambda d: None, {"workers": 0}, "workers: expected an integer in .1, 1024., got 0"),
        (lambda d: None, {"wokers": 2}, "the nearest is workers"),
    ],
)
def test_what_cannot_be_resumed_says_why(
    tmp_path: Path, damage: Any, overrides: dict[str, Any], message: str
) -> None:
    make(tmp_path, 3, (2,))
    damage(tmp_path)
    with pytest.raises(RunError, match=message):
        Run.resume(tmp_path, overrides=overrides)
    if not overrides:
        return
    Run.resume(tmp_path).close()  # the refusal neither changed nor keeps it


def test_a_run_of_an_older_version_is_refused_as_such(tmp_path: Path) -> None:
    make(tmp_path, 3, (2,))
    edit(tmp_path, "hidden = 3", "lanes = 3")
    for path in (tmp_path / "checkpoints").glob("*.json"):
        path.write_text(path.read_text().replace('"schema": 2', '"schema": 1'))
    with pytest.raises(RunError, match=r"from an older version of fastpong .*cannot be resumed"):
        Run.resume(tmp_path)


def test_no_run_at_all(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nowhere", Path(__file__)):
        with pytest.raises(RunError, match="expected a run"):
            Run.resume(path)
    assert list(tmp_path.iterdir()) == []


def test_a_run_of_another_process_is_left_alone(tmp_path: Path) -> None:
    make(tmp_path, 2, (2,))
    code = (
        "import sys, time; from fastpong.storage.run import Run\n"
        "run = Run.resume(sys.argv[1]); print('ready', flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-P", "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            for attempt in (lambda: Run.resume(tmp_path), lambda: Run.create(tmp_path, config())):
                with pytest.raises(RunError, match=f"in use by process {process.pid}"):
                    attempt()
        finally:
            process.kill()
    assert process.returncode == -signal.SIGKILL
    Run.resume(tmp_path).close()


def test_a_closed_run_is_free_though_its_workers_linger(tmp_path: Path) -> None:
    """A forked child has a copy of the descriptor that holds the lock."""
    code = (
        "import os, sys, time\n"
        "from fastpong.settings.config import Config\nfrom fastpong.storage.run import Run\n"
        "run = Run.create(sys.argv[1], Config.build({'backend': 'numpy'}))\n"
        "child = os.fork()\n"
        "if child == 0: time.sleep(60); os._exit(0)\n"
        "run.close(); run.close()\n"
        "import shutil; [p.unlink() for p in run.directory.iterdir() if p.name != '.lock']\n"
        "try: Run.create(sys.argv[1], run.config).close()\n"
        "finally: os.kill(child, 9)\n"
    )
    result = subprocess.run([sys.executable, "-P", "-c", code, str(tmp_path)], timeout=PATIENCE)
    assert result.returncode == 0


# The disk has room for `limit` bytes per file; later for more, and from 2000 on for checkpoints.
# SIGXFSZ is ignored by Python, so that a write beyond the limit raises.
FULL_DISK = """
import resource, sys
from pathlib import Path
from run_cases import config, snapshot, stats
from fastpong.storage.run import Run

heard = []
directory, limit, recovers = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "recovers"
run = Run.create(directory, config(), warn=heard.append)
run.log(stats(1))
assert run.save(snapshot(1)) and heard == []
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
for episode in range(2, 100):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    run.log(stats(episode))
    if episode in (50, 60):
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft if limit > 2000 else limit, hard))
        assert run.save(snapshot(episode)) is (limit > 2000)
if recovers:
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    run.log(stats(100))
run.close()
print("\\n".join(heard))
"""


def on_a_full_disk(directory: Path, limit: int, then: str) -> list[str]:
    environment = os.environ | {"PYTHONPATH": str(Path(run_cases.__file__).parent)}
    command = [sys.executable, "-P", "-c", FULL_DISK, str(directory), str(limit), then]
    result = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines()


@pytest.mark.parametrize("limit", [0, 700, 4001])
def test_a_full_disk_costs_nothing_once_there_is_room(tmp_path: Path, limit: int) -> None:
    heard = on_a_full_disk(tmp_path / "run", limit, "recovers")
    make(tmp_path / "whole", 100, ())
    assert (tmp_path / "run" / "metrics.csv").read_bytes() == (
        tmp_path / "whole" / "metrics.csv"
    ).read_bytes()
    assert scalars(tmp_path / "run") == scalars(tmp_path / "whole")
    said = [sum(word in text for text in heard) for word in ("kept in memory", "room again")]
    assert said == [2, 2], heard
    saves = [text for text in heard if "the checkpoint of episode" in text]
    assert len(saves) == (2 if limit < 2000 else 0)
    with Run.resume(tmp_path / "run") as run:
        assert run.checkpoint is not None
        assert run.checkpoint.episode == (1 if limit < 2000 else 60)


def test_a_disk_that_stays_full_leaves_whole_rows_and_says_what_is_lost(tmp_path: Path) -> None:
    heard = on_a_full_disk(tmp_path, 700, "stays full")
    content = (tmp_path / "metrics.csv").read_text()
    assert content.endswith("\n")
    assert len(content) <= 700
    kept = [int(row["episode"]) for row in rows(tmp_path)]
    assert kept == list(range(1, len(kept) + 1))
    lost = 99 - len(kept)
    assert any(f"metrics.csv: {lost} rows are lost" in text for text in heard), heard
    assert list(scalars(tmp_path)) == [
        stats(e).total_steps for e in range(1, len(scalars(tmp_path)) + 1)
    ]
    with Run.resume(tmp_path) as run:
        run.log(stats(2))
    assert [int(row["episode"]) for row in rows(tmp_path)] == [1, 2]


def test_a_run_starts_light() -> None:
    code = (
        "import sys, fastpong.storage.run\n"
        "heavy = {'tensorboardX', 'ale_py', 'gymnasium', 'numba', 'rich', 'matplotlib'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    environment = os.environ | {"FASTPONG_BACKEND": "numpy"}
    subprocess.run([sys.executable, "-P", "-c", code], check=True, env=environment)


def change_versions(directory: Path, **changes: Any) -> None:
    path = directory / "versions.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_run_of_other_software_goes_on(tmp_path: Path) -> None:
    """Other versions are recorded. The files are the same for all of them."""
    make(tmp_path, 3, (2,))
    change_versions(tmp_path, numpy="1.26.4", commit="0" * 40, **{"ale-py": "0.8.1"})
    with Run.resume(tmp_path, warn=lambda text: pytest.fail(text)) as run:
        run.begin()
    found = json.loads((tmp_path / "versions.json").read_text())
    assert found["numpy"] == "1.26.4"
    assert found["resumed"][0]["numpy"] == np.__version__


def test_a_run_from_before_a_setting_was_there_goes_on(tmp_path: Path) -> None:
    """The setting has its default then, in the run and in the checkpoint."""
    make(tmp_path, 3, (2,))
    path = tmp_path / "config.toml"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if not line.startswith("rmsprop_eps")))
    manifest_path = tmp_path / "checkpoints" / "00000002.json"
    manifest = json.loads(manifest_path.read_text())
    del manifest["config"]["rmsprop_eps"], manifest["digest"]
    manifest_path.write_bytes(signed(manifest))
    with Run.resume(tmp_path) as run:
        assert run.config == config()


def test_a_run_of_an_unknown_setting_says_who_wrote_it(tmp_path: Path) -> None:
    make(tmp_path, 3, (2,))
    edit(tmp_path, "hidden = 3", "hidden = 3\nrmsprop_nesterov = true")
    change_versions(tmp_path, commit="0" * 40)
    words = r"config.toml: rmsprop_nesterov: .*begun by another fastpong, .* commit '0{40}'"
    with pytest.raises(RunError, match=words) as caught:
        Run.resume(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_lock_that_somebody_removed_ends_no_run(tmp_path: Path) -> None:
    with Run.create(tmp_path / "run", config()) as run:
        (tmp_path / "run" / ".lock").unlink()
        assert run.save(snapshot(1))
        (tmp_path / "run").rename(tmp_path / "away")
        with pytest.raises(RunError, match="removed or replaced while it was trained"):
            run.save(snapshot(2))
    assert not (tmp_path / "run").exists()


def test_a_directory_that_goes_away_during_a_save_ends_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It must not be said that training goes on."""
    save = runs.checkpoint.save

    def late(*arguments: Any) -> None:
        (tmp_path / "run").rename(tmp_path / "away")
        save(*arguments)

    monkeypatch.setattr(runs.checkpoint, "save", late)
    heard: list[str] = []
    with (
        Run.create(tmp_path / "run", config(), warn=heard.append) as run,
        pytest.raises(RunError, match="run: was removed or replaced while it was trained"),
    ):
        run.save(snapshot(1))
    assert heard == [] and not (tmp_path / "run").exists()
