"""Sweeps: the runs of several seeds, as a person starts, stops and resumes them."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from commands import COMMAND, SMALL, complaint, fastpong, read_terminal, rows
from waiting import PATIENCE, until

from fastpong.cli.seeds import Seeds, joined
from fastpong.cli.sweep import Job, changed, play, share
from fastpong.settings.config import Config, available_cores
from fastpong.storage import checkpoint
from fastpong.storage.run import Run
from fastpong.storage.sweep import Sweep
from fastpong.storage.weights import exported

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
FOREVER = ["--episodes", "100000", "--save-every", "100000"]


def begun(run: Path) -> bool:
    return (run / "metrics.csv").exists() and len(rows(run)) > 0


def start(*arguments: object, cwd: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, "train", *map(str, arguments)],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Train three seeds, two episodes each; return the sweep and what was printed."""
    home = tmp_path_factory.mktemp("sweeps")
    arguments = [*SMALL, "--episodes", 2, "--seeds", 3, 5, 4, "--run-dir", "it"]
    done = fastpong("train", *arguments, cwd=home)
    assert done.returncode == 0, done
    assert done.stderr == ""
    return home / "it", done.stdout


@pytest.fixture
def swept_copy(swept: tuple[Path, str], tmp_path: Path) -> Path:
    return Path(shutil.copytree(swept[0], tmp_path / "it"))


def test_every_run_is_that_of_the_single_command(swept: tuple[Path, str], tmp_path: Path) -> None:
    done = fastpong("train", *SMALL, "--episodes", 2, "--seed", 4, "--run-dir", "one", cwd=tmp_path)
    assert done.returncode == 0, done
    alone, _ = checkpoint.newest(tmp_path / "one" / "checkpoints")
    same, _ = checkpoint.newest(swept[0] / "seed-4" / "checkpoints")
    other, _ = checkpoint.newest(swept[0] / "seed-3" / "checkpoints")
    assert alone.arrays.keys() == same.arrays.keys()
    for name, array in alone.arrays.items():
        assert np.array_equal(array, same.arrays[name])
    assert not np.array_equal(same.arrays["parameters/0/w1"], other.arrays["parameters/0/w1"])
    configs = [Config.build(Config.load(swept[0] / f"seed-{n}" / "config.toml")) for n in (3, 5)]
    assert [config.seed for config in configs] == [3, 5]


def test_a_sweep_ends_in_a_table_and_a_picture(swept: tuple[Path, str]) -> None:
    sweep, printed = swept
    head, *lines = printed.splitlines()
    assert "recommended for" in head, "said once"
    assert "sweep of 3 seeds, " in lines[0] and "directory it" in lines[0]
    for seed in (3, 5, 4):
        assert f"seed {seed} finished" in lines
        scores = [float(row["return"]) for row in rows(sweep / f"seed-{seed}")]
        (line,) = [line for line in lines if re.match(rf" *{seed}  ", line)]
        assert f"{sum(scores) / 2:+.2f}" in line and line.rstrip().endswith("finished")
        assert rows(sweep / f"seed-{seed}")[-1]["total_steps"] == line.split()[4].replace(",", "")
    assert any(line.lstrip().startswith("mean") for line in lines)
    assert lines[-1] == "curves: it/curves.png"
    assert (sweep / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_a_finished_sweep_is_not_trained_again_and_may_go_on(swept_copy: Path) -> None:
    sweep = swept_copy
    before = [rows(sweep / f"seed-{seed}") for seed in (3, 5, 4)]
    done = fastpong("train", "--resume", sweep, cwd=sweep.parent)
    assert done.returncode == 0, done
    assert [rows(sweep / f"seed-{seed}") for seed in (3, 5, 4)] == before
    done = fastpong("train", "--resume", sweep, "--episodes", 3, cwd=sweep.parent)
    assert done.returncode == 0, done
    after = [rows(sweep / f"seed-{seed}") for seed in (3, 5, 4)]
    assert [len(found) for found in after] == [3, 3, 3]
    assert [found[:2] for found in after] == before


def test_a_sweep_of_an_earlier_until_goes_on(swept_copy: Path) -> None:
    """Means above 21 were written for never."""
    settings = swept_copy / "settings.toml"
    settings.write_text("until = 25.0\n" + settings.read_text())
    done = fastpong("train", "--resume", "it", "--episodes", 3, cwd=swept_copy.parent)
    assert done.returncode == 0, done
    assert len(rows(swept_copy / "seed-4")) == 3


def test_a_resumed_sweep_has_no_goal_if_asked_for_none(tmp_path: Path) -> None:
    limits = ["--until", "-21", "--until-episodes", 1, "--eval-every", 1, "--eval-episodes", 1]
    arguments = [*SMALL, *limits, "--episodes", 3, "--total-timesteps", 10]
    done = fastpong("train", *arguments, "--seeds", 1, "--run-dir", "it", cwd=tmp_path)
    assert done.returncode == 0, done
    run = tmp_path / "it" / "seed-1"
    assert len(rows(run)) < 3
    never = [word for name in ("until", "total-timesteps", "eval-every")
             for word in (f"--{name}", "never")]  # fmt: skip
    done = fastpong("train", "--resume", "it", *never, cwd=tmp_path)
    assert done.returncode == 0, done
    assert len(rows(run)) == 3
    assert not {"until", "total_timesteps", "eval_every"} & {*Config.load(run / "config.toml")}


def test_a_sweep_may_be_the_newest_run(tmp_path: Path) -> None:
    old = tmp_path / "runs" / "old"
    arguments = [*SMALL, "--episodes", 1]
    done = fastpong("train", *arguments, "--run-dir", old, cwd=tmp_path)
    assert done.returncode == 0, done
    it = tmp_path / "runs" / "it"
    done = fastpong("train", *arguments, "--seeds", 1, "--run-dir", it, cwd=tmp_path)
    assert done.returncode == 0, done
    done = fastpong("eval", "--episodes", 1, "--workers", 1, cwd=tmp_path)
    assert done.returncode == 0 and "runs/it/seed-1" in done.stdout, done
    done = fastpong("plot", "--csv", "-", cwd=tmp_path)
    assert done.returncode == 0 and "seed-1" in done.stdout, done
    done = fastpong("train", "--resume", "--episodes", 2, cwd=tmp_path)
    assert done.returncode == 0, done
    assert [len(rows(run)) for run in (old, it / "seed-1")] == [1, 2]
    config = Config.build({"workers": 1, "episodes": 1, "hidden": 4})
    Sweep.create(tmp_path / "runs" / "next", config, [3]).close()  # interrupted at once
    done = fastpong("train", "--resume", cwd=tmp_path)
    assert done.returncode == 0, done
    assert len(rows(tmp_path / "runs" / "next" / "seed-3")) == 1
    done = fastpong("train", "--resume", "runs/old", "--episodes", 2, cwd=tmp_path)
    assert done.returncode == 0, done
    done = fastpong("train", "--resume", cwd=tmp_path)
    assert "runs/old has 2 episodes" in done.stdout, done


def test_a_changed_learning_rate_is_said_in_the_log_of_a_run(
    swept_copy: Path, tmp_path: Path
) -> None:
    log = swept_copy / "seed-4.log"
    assert "learning rate" not in log.read_text()
    words = ["--learning-rate", 0.002, "--episodes", 3]
    done = fastpong("train", "--resume", swept_copy, *words, cwd=tmp_path)
    assert done.returncode == 0, done
    assert "going on after episode 2" in log.read_text()
    assert "learning rate 0.002 from here on" in log.read_text()


def test_ctrl_c_ends_all_runs_with_checkpoints_and_the_rest_is_resumed(
    tmp_path: Path, complain: Any
) -> None:
    cores = len(os.sched_getaffinity(0))
    many = [str(seed) for seed in range(cores + 1)]
    process = start(*SMALL, *FOREVER, "--seeds", *many, "--run-dir", "it", cwd=tmp_path)
    try:
        first = [tmp_path / "it" / f"seed-{seed}" for seed in range(cores)]
        until(lambda: all(map(begun, first)))
        for words in (["--resume", "it"], ["--seeds", "1", "--run-dir", "it"]):
            in_use = f"it: is in use by process {process.pid}; stop that one"
            assert in_use in complain("train", *words)[1]
        family = psutil.Process(process.pid).children(recursive=True)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        printed, errors = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
    assert (process.returncode, errors) == (130, "")
    assert psutil.wait_procs(family, timeout=PATIENCE)[1] == []
    assert "to go on: fastpong train --resume it" in printed
    for run in first:
        assert checkpoint.newest(run / "checkpoints")[0].episode == len(rows(run)) > 0
    assert not (tmp_path / "it" / f"seed-{cores}").exists()
    longest = max(len(rows(run)) for run in first) + 1
    done = fastpong("train", "--resume", "it", "--episodes", longest, cwd=tmp_path)
    assert done.returncode == 0, done
    for seed in many:
        assert len(rows(tmp_path / "it" / f"seed-{seed}")) == longest


def test_no_run_outlives_a_killed_sweep(tmp_path: Path) -> None:
    process = start(*SMALL, *FOREVER, "--seeds", "1", "--run-dir", "it", cwd=tmp_path)
    run = tmp_path / "it" / "seed-1"
    try:
        until(lambda: begun(run))
        family = psutil.Process(process.pid).children(recursive=True)
    finally:
        process.kill()
        process.communicate()
    assert psutil.wait_procs(family, timeout=PATIENCE)[1] == []
    assert checkpoint.newest(run / "checkpoints")[0].episode == len(rows(run))


def test_a_run_that_fails_is_said_and_ends_no_other(swept_copy: Path) -> None:
    for path in (swept_copy / "seed-5" / "checkpoints").glob("*.safetensors"):
        path.write_bytes(b"broken")
    done = fastpong("train", "--resume", "it", "--episodes", 3, cwd=swept_copy.parent)
    assert done.returncode == 1
    assert re.search(r"seed 5 failed: .*seed-5: cannot be resumed: .*; see it/seed-5\.log",
                     done.stderr)  # fmt: skip
    assert "Traceback" not in done.stderr
    assert [len(rows(swept_copy / f"seed-{seed}")) for seed in (3, 4)] == [3, 3]
    assert "to go on: fastpong train --resume it" in done.stdout


def test_a_run_that_ended_before_its_first_checkpoint_begins_anew(swept_copy: Path) -> None:
    run = swept_copy / "seed-4"
    for path in (*(run / "checkpoints").iterdir(), run / "metrics.csv"):
        path.unlink()
    done = fastpong("train", "--resume", "it", cwd=swept_copy.parent)
    assert done.returncode == 0, done
    assert len(rows(run)) == 2


def test_a_live_run_without_a_checkpoint_is_left_alone(tmp_path: Path) -> None:
    config = Config.build({"workers": 1, "episodes": 1})
    with contextlib.closing(Sweep.create(tmp_path / "it", config, [7])) as sweep:
        run = sweep.run(7)
    with Run.create(run, config):
        before = sorted(run.iterdir())
        done = fastpong("train", "--resume", "it", cwd=tmp_path)
        assert f"seed-7: is in use by process {os.getpid()}" in complaint(done)
        assert sorted(run.iterdir()) == before
        assert not sweep.log(7).exists()


def on_a_terminal(home: Path, lines: int, *arguments: object) -> str:
    """Return all that a command wrote to a terminal of so many lines."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, "train", *map(str, arguments)],
        cwd=home,
        env=os.environ | {"TERM": "xterm-256color", "COLUMNS": "100", "LINES": str(lines)},
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    screen = b"".join(iter(lambda: read_terminal(ours), b"")).decode()
    assert process.wait(PATIENCE) == 0
    os.close(ours)
    return screen


def test_a_live_table_on_a_terminal(tmp_path: Path) -> None:
    screen = on_a_terminal(tmp_path, 40, *SMALL, "--episodes", 2, "--seeds", 1, 2)
    text = ESCAPES.sub("", screen)
    assert re.search(r"seed 1 +finished +episode 2 ", text)
    assert re.search(r"seed 2 +finished +episode 2 ", text)
    assert screen.rindex("\x1b[?25h") > screen.rindex("\x1b[?25l"), "the cursor stays hidden"
    (sweep,) = (tmp_path / "runs").iterdir()
    assert re.fullmatch(r"PongDeterministic-v4__karpathy__sweep__\d{8}T\d{6}Z", sweep.name)


def test_a_live_table_shows_running_seeds_if_not_all_fit(tmp_path: Path) -> None:
    alone = ["--workers", len(os.sched_getaffinity(0))]  # one run at a time
    screen = on_a_terminal(tmp_path, 3, *SMALL, *alone, "--episodes", 1, "--seeds", "1-4")
    text = ESCAPES.sub("", screen)
    assert re.search(r"seed 4 +running +\s+others +3 finished", text)
    assert re.search(r"seed 1 +running +\s+others +3 waiting", text)
    assert "..." not in text


def test_all_runs_begin_with_the_weights_asked_for(swept: tuple[Path, str], tmp_path: Path) -> None:
    source = Path(shutil.copytree(swept[0] / "seed-3", tmp_path / "source"))
    before, _ = checkpoint.newest(source / "checkpoints")
    arguments = ["--init-from", "source", "--workers", 1, "--episodes", 1, "--seeds", "1-2"]
    done = fastpong("train", *arguments, "--run-dir", "it", cwd=tmp_path)
    assert done.returncode == 0, done
    # Seed 2 begins once more, after the run that the weights are of has gone on.
    shutil.rmtree(tmp_path / "it" / "seed-2")
    done = fastpong("train", "--resume", "source", "--episodes", 3, cwd=tmp_path)
    assert done.returncode == 0, done
    done = fastpong("train", "--resume", "../it", cwd=source)
    assert done.returncode == 0, done
    for seed in (1, 2):
        run = tmp_path / "it" / f"seed-{seed}"
        first = checkpoint.load(run / "checkpoints" / "00000000.json").arrays
        assert np.array_equal(first["parameters/0/w1"], before.arrays["parameters/0/w1"])
    about = exported.read(tmp_path / "it" / "initial.safetensors").about
    assert about["source"] == str(before.path)


def test_settings_that_no_run_may_change_are_refused(swept: tuple[Path, str]) -> None:
    done = fastpong("train", "--resume", swept[0], "--hidden", 9, cwd=swept[0].parent)
    assert "hidden is 4 in this sweep, 9 asked for; it cannot change" in complaint(done)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--seeds", "1", "x"], "expected seeds as 1 2 3, 1,2,3 or 1-3, got '1,x'"),
        (["--seeds", "1", "2", "1"], "expected every seed once, got 1 several times"),
        (["--seeds", "5-1"], "expected at most 1000 seeds, upwards, got '5-1'"),
        (["--seeds", "0-99999999"], "expected at most 1000 seeds"),
        (["--seeds", "1", "--seed", "2"], "--seed and --seeds: expected one of them"),
        (["--seeds", "1", "--watch"], "--watch: expected one run to watch, got a sweep"),
        (["--seeds", "1", "--resume", "it"], "--seeds: expected none beside --resume"),
        (["--seeds"], "'--seeds' requires an argument"),
    ],
)
def test_what_no_sweep_can_have(complain: Any, arguments: list[str], expected: str) -> None:
    status, message = complain("train", *arguments)
    assert status == 2
    assert expected in message


def test_seeds_are_written_in_several_ways() -> None:
    def seeds(*words: str) -> Any:
        args = joined(["--recipe", "pong", "--seeds", *words, "--until", "5"])
        assert args[:3] + args[4:] == ["--recipe", "pong", "--seeds", "--until", "5"]
        return Seeds().convert(args[3], None, None)

    assert seeds("1", "2", "3") == seeds("1,2,3") == seeds("1-3") == seeds("1,", "2-3") == (1, 2, 3)
    assert joined(["--seeds=1,2"]) == ["--seeds=1,2"]
    assert joined(["--seeds"]) == ["--seeds"]
    assert joined(["--workers", "1"]) == ["--workers", "1"]


@pytest.mark.parametrize(
    ("cores", "runs", "workers", "expected"),
    [
        (2, 5, None, (1, 2)),
        (2, 1, None, (2, 1)),
        (8, 3, None, (2, 3)),
        (8, 5, 3, (3, 2)),
        (2, 5, 4, (4, 1)),
        (64, 5, None, (12, 5)),
    ],
)
def test_cores_are_divided(
    cores: int, runs: int, workers: int | None, expected: tuple[int, int]
) -> None:
    assert share(cores, runs, workers) == expected


class Sleeper(Job):
    """A job that is no training."""

    def start(self) -> None:
        self.process = subprocess.Popen([sys.executable, *self.arguments])


def test_no_more_runs_than_asked_for_at_a_time(tmp_path: Path) -> None:
    go, most = tmp_path / "go", list[int]()
    code = f"import pathlib, sys, time; go = pathlib.Path({str(go)!r})\n"
    code += "while not go.exists(): time.sleep(0.01)\nexit(int(sys.argv[1]))"
    jobs = [Sleeper(seed, tmp_path, tmp_path, ["-c", code, str(seed)]) for seed in range(5)]

    def tick() -> None:
        most.append(sum(job.running for job in jobs))
        if most[-1] == 2:
            go.touch()

    ended = list(play(jobs, 2, lambda: False, tick))
    assert max(most) == 2
    assert sorted(job.seed for job in ended) == [0, 1, 2, 3, 4]
    assert [job.status for job in jobs] == [0, 1, 2, 3, 4]
    assert [job.state for job in jobs] == ["finished", *["failed"] * 4]


@pytest.mark.parametrize(
    ("number", "state"),
    [(signal.SIGTERM, "stopped"), (signal.SIGKILL, "failed"), (signal.SIGSEGV, "failed")],
)
def test_a_run_that_a_signal_ends(tmp_path: Path, number: int, state: str) -> None:
    code = f"import os; os.kill(os.getpid(), {int(number)})"
    job = Sleeper(1, tmp_path, tmp_path, ["-c", code])
    list(play([job], 1, lambda: False, lambda: None))
    assert (job.status, job.state) == (128 + number, state)
    assert job.complaint() == f"{signal.Signals(number).name} killed it"


def test_a_run_that_is_killed_while_it_stops_has_not_failed(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    code = (
        "import os, pathlib, signal, time; "
        "signal.signal(signal.SIGTERM, lambda *_: os.kill(os.getpid(), signal.SIGKILL)); "
        f"pathlib.Path({str(ready)!r}).touch(); time.sleep(60)"
    )
    job = Sleeper(1, tmp_path, tmp_path, ["-c", code])
    list(play([job], 1, ready.exists, lambda: None))
    assert (job.status, job.state) == (128 + signal.SIGKILL, "stopped")


def test_ctrl_c_in_the_first_moments_is_no_failure(tmp_path: Path) -> None:
    process = start(*SMALL, *FOREVER, "--seeds", "1", "--run-dir", "it", cwd=tmp_path)
    try:
        until(lambda: (tmp_path / "it" / "seed-1.log").exists())  # its run loads still
        process.send_signal(signal.SIGINT)
        printed, errors = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
    assert (process.returncode, errors) == (130, "")
    assert "seed 1 stopped" in printed and "failed" not in printed


def test_the_table_has_its_numbers_in_forty_columns(swept: tuple[Path, str]) -> None:
    sweep = swept[0]
    done = fastpong("train", "--resume", sweep, cwd=sweep.parent, env={"COLUMNS": "40"})
    assert done.returncode == 0, done
    table = done.stdout[done.stdout.index(" seed ") :].splitlines()
    assert "…" not in done.stdout and max(map(len, table[:-1])) <= 40
    finals = [
        np.mean([float(row["return"]) for row in rows(sweep / f"seed-{seed}")])
        for seed in (3, 5, 4)
    ]
    cells = [line.split() for line in table]
    assert [line[:3:2] for line in cells[2:5]] == [
        [str(seed), f"{final:+.2f}"] for seed, final in zip((3, 5, 4), finals, strict=True)
    ]
    assert ["mean", f"{np.mean(finals):+.2f}"] in cells
    assert ["std", f"{np.std(finals, ddof=1):.2f}"] in cells


def test_a_sweep_that_moves_from_a_cluster_shares_the_cores_here(tmp_path: Path) -> None:
    config = Config.build({"pool": "h:6379", "workers": 200})
    with contextlib.closing(Sweep.create(tmp_path / "sweep", config, [1, 2, 3], None)) as sweep:
        assert changed(sweep, {"pool": "local"}).workers == share(available_cores(), 3, None)[0]
        assert changed(sweep, {"pool": "local", "workers": 7}).workers == 7
        assert changed(sweep, {"pool": "other:1"}).workers == 200
        assert changed(sweep, {"episodes": 9}).workers == 200
