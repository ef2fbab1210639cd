"""The command as a person uses it: real processes, real signals, real runs of a few episodes."""

from __future__ import annotations

import contextlib
import csv
import os
import pickle
import pty
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from fastpong.cli import main as cli
from fastpong.settings.config import Config
from fastpong.storage import checkpoint

COMMAND = [sys.executable, "-P", "-m", "fastpong"]
# A small network on the variant without chance of its own.
SMALL = ["--env", "PongDeterministic-v4", "--hidden", "4", "--batch-size", "2", "--workers", "1"]
STOP_SECONDS = 5  # promised are 2, on a machine that does nothing else


def fastpong(
    *arguments: object, cwd: Path, env: dict[str, str] | None = None, **options: Any
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        cwd=cwd,
        env=os.environ | (env or {}),
        capture_output=True,
        text=True,
        timeout=100,
        **options,
    )


def complaint(done: subprocess.CompletedProcess[str]) -> str:
    """Return the one error message of a command that failed as it should."""
    lines = done.stderr.splitlines()
    assert done.returncode in (1, 2), done
    assert "Traceback" not in done.stderr
    assert [line for line in lines if line.startswith("fastpong: error: ")] == lines[-1:], lines
    return lines[-1]


def rows(run: Path) -> list[dict[str, str]]:
    with (run / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def played(run: Path) -> list[dict[str, str]]:
    """Return a run's rows without the times, which alone may differ from run to run."""
    times = ("wall_seconds", "cpu_seconds")
    return [{name: v for name, v in row.items() if name not in times} for row in rows(run)]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def trained(home: Path) -> tuple[Path, str]:
    """Train three episodes in the default directory; return the run and what was printed."""
    done = fastpong("train", *SMALL, "--episodes", 3, "--save-every", 2, cwd=home)
    assert done.returncode == 0, done
    assert done.stderr == ""
    (run,) = (home / "runs").iterdir()
    return run, done.stdout


@pytest.fixture
def run_copy(trained: tuple[Path, str], tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained[0], tmp_path / "copy"))


# --- training to the end ------------------------------------------------------------------------


def test_a_run_leaves_its_files(trained: tuple[Path, str]) -> None:
    run, _ = trained
    assert re.fullmatch(r"PongDeterministic-v4__pg__0__\d{8}T\d{6}Z", run.name)
    names = {path.name.split(".tfevents")[0] for path in run.iterdir()} - {".lock"}
    assert names == {"config.toml", "versions.json", "metrics.csv", "events.out", "checkpoints"}
    saved = sorted(path.stem for path in (run / "checkpoints").glob("*.json"))
    assert saved == ["00000000", "00000002", "00000003"]
    assert [row["episode"] for row in rows(run)] == ["1", "2", "3"]
    assert [row["update"] for row in rows(run)] == ["0", "1", "1"]
    assert Config.build(Config.load(run / "config.toml")).hyper.hidden == 4


def test_without_a_terminal_there_is_a_line_per_episode(trained: tuple[Path, str]) -> None:
    run, printed = trained
    lines = printed.splitlines()
    assert str(run.name) in lines[0]
    for line, row in zip(lines[1:4], rows(run), strict=True):
        assert line.startswith(f"episode {row['episode']}  reward {float(row['return']):+.0f}  ")
        assert f"length {row['length']}  " in line
        assert re.search(r"[\d,]+ frames/s  [\d,]+ steps/s$", line)
    assert "checkpoints/00000003.json" in lines[4]
    assert "\x1b" not in printed


def test_command_line_comes_before_config_file_before_defaults(tmp_path: Path) -> None:
    (tmp_path / "my.toml").write_text('gamma = 0.5\ndecay = 0.9\nenv = "ALE/Pong-v5"\nhidden = 3\n')
    settings = ["--config", "my.toml", "--env", "Pong-v4", "--gamma", "0.75", "--workers", "1"]
    done = fastpong("train", *settings, "--episodes", 1, "--run-dir", "a/b", cwd=tmp_path)
    assert done.returncode == 0, done
    config = Config.build(Config.load(tmp_path / "a" / "b" / "config.toml"))
    assert (config.hyper.gamma, config.env) == (0.75, "Pong-v4")
    assert (config.hyper.decay, config.hyper.hidden) == (0.9, 3)
    assert (config.hyper.batch_size, config.episodes) == (10, 1)


def test_a_live_display_on_a_terminal(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, "train", *SMALL, "--episodes", "3"],
        cwd=tmp_path,
        env=os.environ | {"TERM": "xterm-256color", "COLUMNS": "100", "LINES": "40"},
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    screen = b"".join(iter(lambda: _read(ours), b"")).decode()
    assert process.wait(20) == 0
    os.close(ours)
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen)
    for words in ("episode reward", "running mean", "episode length", "emulated frames/s"):
        assert words in text
    for words in ("steps/s", "workers", "0 / 3 episodes", "3 / 3 episodes", "elapsed", "left 0:00"):
        assert words in text
    assert screen.rindex("\x1b[?25h") > screen.rindex("\x1b[?25l"), "the cursor stays hidden"
    assert "trained 3 episodes" in text
    assert "episode 1  reward" not in text


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # the other side is closed
        return b""


def test_no_progress_gives_plain_lines_on_a_terminal(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    command = [*COMMAND, "train", *SMALL, "--episodes", "1", "--no-progress"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=theirs, stderr=theirs)
    os.close(theirs)
    screen = b"".join(iter(lambda: _read(ours), b"")).decode()
    assert process.wait(20) == 0
    os.close(ours)
    assert "episode 1  reward" in screen
    assert "\x1b" not in screen


def test_output_that_is_closed_or_full_does_not_end_a_run(tmp_path: Path) -> None:
    for number, target in enumerate(("pipe", "/dev/full")):
        if target == "pipe":
            reader, writer = os.pipe()
            os.close(reader)
        else:
            writer = os.open(target, os.O_WRONLY)
        run = tmp_path / str(number)
        process = subprocess.Popen(
            [*COMMAND, "train", *SMALL, "--episodes", "2", "--run-dir", str(run)],
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
        )
        os.close(writer)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0
        assert "Traceback" not in errors
        assert "training goes on" in errors
        assert "checkpoints/00000002.json" in errors, "what matters is said where it can be"
        assert checkpoint.newest(run / "checkpoints")[0].episode == 2


# --- signals ------------------------------------------------------------------------------------


@contextlib.contextmanager
def training(*arguments: object, cwd: Path) -> Iterator[subprocess.Popen[str]]:
    """Start a long run in a session of its own; go on when its first episode is played."""
    process = subprocess.Popen(
        [*COMMAND, "train", *SMALL, *map(str, arguments)],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    try:
        for line in process.stdout:
            if line.startswith("episode "):
                break
        else:
            raise AssertionError(process.communicate())
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_to_the_group_ends_a_run_with_a_checkpoint(
    tmp_path: Path, number: signal.Signals, status: int
) -> None:
    with training("--run-dir", "my run", cwd=tmp_path) as process:
        family = psutil.Process(process.pid).children(recursive=True)
        started = time.monotonic()
        os.killpg(process.pid, number)  # as a terminal does
        printed, errors = process.communicate(timeout=20)
        assert time.monotonic() - started < STOP_SECONDS
    assert process.returncode == status
    assert errors == ""
    episode = checkpoint.newest(tmp_path / "my run" / "checkpoints")[0].episode
    assert episode == len(rows(tmp_path / "my run")) > 0
    assert f"stopped by {number.name} after episode {episode}; checkpoint my run/" in printed
    assert "fastpong train --resume 'my run'\n" in printed
    assert psutil.wait_procs(family, timeout=STOP_SECONDS)[1] == []


def test_a_stopped_run_goes_on_as_if_nothing_had_been(
    tmp_path: Path, trained: tuple[Path, str]
) -> None:
    with training("--run-dir", "run", cwd=tmp_path) as process:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
    before = rows(tmp_path / "run")
    episodes = max(3, len(before) + 1)
    done = fastpong("train", "--resume", "run", "--episodes", episodes, cwd=tmp_path)
    assert done.returncode == 0, done
    assert f"going on after episode {len(before)} of run" in done.stdout
    after = rows(tmp_path / "run")
    assert after[: len(before)] == before
    assert len(after) == episodes
    assert float(after[-1]["wall_seconds"]) > float(before[-1]["wall_seconds"])
    assert played(tmp_path / "run")[:3] == played(trained[0])


def test_another_ctrl_c_ends_a_run_at_once(tmp_path: Path) -> None:
    with training(cwd=tmp_path) as process:
        family = psutil.Process(process.pid).children(recursive=True)
        started = time.monotonic()
        while process.poll() is None and time.monotonic() - started < STOP_SECONDS:
            process.send_signal(signal.SIGINT)
            time.sleep(0.02)
        _, errors = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert psutil.wait_procs(family, timeout=STOP_SECONDS)[1] == []


def test_the_second_signal_kills_workers_and_waits_for_nothing() -> None:
    code = """
import os, signal, subprocess, sys
from fastpong.cli.interrupt import Interrupt
with Interrupt() as interrupt:
    child = subprocess.Popen(["sleep", "60"])
    interrupt.deferred, interrupt.pids = True, lambda: [child.pid, 2**22 + 1]
    os.kill(os.getpid(), signal.SIGTERM)
    assert interrupt() and interrupt.status == 143
    os.kill(os.getpid(), signal.SIGTERM)  # impatient supervisors do not spoil the checkpoint
    print("still here", flush=True)
    os.kill(os.getpid(), signal.SIGINT)
    print("unreachable", flush=True)
"""
    # The child holds the other end of our pipe: this returns only when it is dead, too.
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, timeout=30
    )
    assert (done.returncode, done.stdout) == (130, "still here\n")


def test_a_signal_before_training_raises_and_leaves_no_handlers() -> None:
    from fastpong.cli.interrupt import Interrupt, Interrupted

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Interrupted, match="SIGTERM"), Interrupt():
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(10)
    assert signal.getsignal(signal.SIGTERM) == before


def test_nothing_outlives_a_killed_run_and_it_can_be_resumed(tmp_path: Path) -> None:
    with training("--run-dir", "run", "--save-every", 1, cwd=tmp_path) as process:
        family = psutil.Process(process.pid).children(recursive=True)
        assert len(family) >= 2, "a fork server and a worker"
        process.kill()
        process.communicate()
        assert psutil.wait_procs(family, timeout=STOP_SECONDS)[1] == []
    saved = checkpoint.newest(tmp_path / "run" / "checkpoints")[0].episode
    done = fastpong("train", "--resume", "run", "--episodes", saved + 1, cwd=tmp_path)
    assert done.returncode == 0, done
    assert len(rows(tmp_path / "run")) == saved + 1


def test_workers_that_die_too_often_end_a_run_with_a_checkpoint(tmp_path: Path) -> None:
    with training("--run-dir", "run", cwd=tmp_path) as process:
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(psutil.NoSuchProcess):
                for server in psutil.Process(process.pid).children():
                    for worker in server.children():
                        worker.kill()
            time.sleep(0.05)
        _, errors = process.communicate(timeout=20)
    assert process.returncode == 1
    assert re.search(r"^fastpong: error: .*(given up|could not start).*SIGKILL", errors, re.M)
    assert "Traceback" not in errors
    assert checkpoint.newest(tmp_path / "run" / "checkpoints")[0].episode == len(
        rows(tmp_path / "run")
    )


# --- resuming -----------------------------------------------------------------------------------


def test_resume_without_a_name_takes_the_newest_run(home: Path, trained: tuple[Path, str]) -> None:
    done = fastpong("train", "--resume", cwd=home)
    assert done.returncode == 0
    assert f"{trained[0].name} has 3 episodes" in done.stdout
    assert "--episodes 6" in done.stdout


def test_an_altered_checkpoint_is_refused_aloud_and_the_older_one_used(run_copy: Path) -> None:
    newest = run_copy / "checkpoints" / "00000003.safetensors"
    data = bytearray(newest.read_bytes())
    data[len(data) // 2] ^= 1
    newest.write_bytes(data)
    done = fastpong("train", "--resume", run_copy, "--workers", 2, cwd=run_copy)
    assert done.returncode == 0, done
    assert "checkpoint refused: " in done.stderr
    assert "00000003.safetensors: was altered" in done.stderr
    assert f"going on after episode 2 of {run_copy}" in done.stdout
    assert [row["episode"] for row in rows(run_copy)] == ["1", "2", "3"]
    assert Config.load(run_copy / "config.toml")["workers"] == 2


def test_a_full_disk_costs_checkpoints_and_no_more(tmp_path: Path) -> None:
    def small_disk() -> None:
        # The first checkpoint is 307 kB, and those with two versions of the weights 410 kB.
        resource.setrlimit(resource.RLIMIT_FSIZE, (350_000, 350_000))

    settings = [*SMALL, "--episodes", 4, "--save-every", 2, "--run-dir", "run"]
    done = fastpong("train", *settings, cwd=tmp_path, preexec_fn=small_disk)
    assert done.returncode == 0, done
    assert "the checkpoint of episode 4 cannot be saved: File too large" in done.stderr
    assert "training goes on" in done.stderr
    assert "Traceback" not in done.stderr
    assert "trained 4 episodes; checkpoint run/checkpoints/00000000.json" in done.stdout
    assert len(rows(tmp_path / "run")) == 4
    again = fastpong("train", "--resume", "run", "--episodes", 1, cwd=tmp_path)
    assert again.returncode == 0, again
    assert len(rows(tmp_path / "run")) == 1


# --- the other commands -------------------------------------------------------------------------


def test_eval_of_a_run_and_of_its_files(trained: tuple[Path, str], home: Path) -> None:
    run = trained[0]
    manifest = run / "checkpoints" / "00000003.json"
    common = ["--episodes", 2, "--workers", 1, "--seed", 5]
    results = [
        fastpong("eval", source, *common, cwd=home)
        for source in (run, manifest, manifest.with_suffix(".safetensors"))
    ]
    assert [result.returncode for result in results] == [0, 0, 0], results
    assert len({result.stdout for result in results}) == 1
    table = dict(re.findall(r"^(\w[\w ]*?)  +(.+)$", results[0].stdout, re.M))
    games = re.findall(r"^game \d+  score ([+-]\d+)  length (\d+)$", results[0].stdout, re.M)
    scores = [int(score) for score, _ in games]
    assert len(scores) == 2
    assert float(table["mean"]) == pytest.approx(np.mean(scores), abs=0.006)
    assert float(table["standard deviation"]) == pytest.approx(np.std(scores), abs=0.006)
    assert (int(table["min"]), int(table["max"])) == (min(scores), max(scores))
    assert table["wins"] == "0 of 2"
    steps, frames = re.findall(r"\d+", table["mean length"])
    assert int(steps) == round(np.mean([int(length) for _, length in games]))
    assert 4 * int(steps) - 4 <= int(frames) <= 4 * int(steps) + 4  # PongDeterministic-v4


def test_ctrl_c_in_eval_sums_up_the_games_played(trained: tuple[Path, str], home: Path) -> None:
    command = [*COMMAND, "eval", str(trained[0]), "--episodes", "500", "--workers", "1"]
    with subprocess.Popen(
        command, cwd=home, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("game 2 "):
                break
        process.send_signal(signal.SIGINT)
        printed, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (130, "")
    assert re.search(r"^episodes +\d+ of 500, stopped by SIGINT$", printed, re.M)
    assert re.search(r"^mean +-\d+\.\d\d$", printed, re.M)


def test_training_stops_by_itself_at_its_goal(run_copy: Path) -> None:
    goal = ("--until", "-21.5", "--until-games", "4")
    done = fastpong("train", "--resume", run_copy, "--episodes", 9, *goal, cwd=run_copy)
    assert done.returncode == 0, done
    assert "reached a mean score of -21.5 over the last 4 games\n" in done.stdout
    assert "trained 4 episodes; checkpoint" in done.stdout
    again = fastpong("train", "--resume", run_copy, cwd=run_copy)
    assert again.returncode == 0, again
    assert "has reached a mean score of -21.5 over 4 games after 4 episodes" in again.stdout
    assert "--until -20.5" in again.stdout
    further = fastpong("train", "--resume", run_copy, "--until", 22, "--episodes", 5, cwd=run_copy)
    assert "trained 5 episodes" in further.stdout
    assert "reached" not in further.stdout


def test_the_actor_critic_trains_goes_on_and_plays(tmp_path: Path) -> None:
    size = ["--hidden", 16, "--lanes", 3, "--segment", 100, "--save-every", 2]
    where = ["--agent", "ppo", "--env", "PongDeterministic-v4", "--run-dir", "run"]
    done = fastpong("train", *where, *size, "--episodes", 2, "--workers", 2, cwd=tmp_path)
    assert done.returncode == 0 and done.stderr == "", done
    episodes = len(rows(tmp_path / "run"))
    assert 2 <= episodes <= 5 and f"trained {episodes} episodes" in done.stdout
    more = ["--resume", "run", "--episodes", episodes + 1]
    done = fastpong("train", *more, cwd=tmp_path)
    assert done.returncode == 0 and done.stderr == "", done
    found = rows(tmp_path / "run")
    assert [int(row["episode"]) for row in found] == list(range(1, len(found) + 1))
    assert len(found) > episodes
    assert all(float(row["cpu_seconds"]) > 0.5 for row in found)
    scores = []
    for choice in ([], ["--greedy"]):
        done = fastpong("eval", "run", "--episodes", 2, *choice, cwd=tmp_path)
        assert done.returncode == 0, done
        scores.append(re.findall(r"score ([+-]\d+)  length (\d+)", done.stdout))
    assert len(scores[0]) == len(scores[1]) == 2


def test_resume_without_a_name_passes_over_runs_that_have_no_checkpoint(
    trained: tuple[Path, str], tmp_path: Path
) -> None:
    runs = tmp_path / "runs"
    shutil.copytree(trained[0], runs / "whole")
    (runs / "begun").mkdir()
    shutil.copy(trained[0] / "config.toml", runs / "begun")
    done = fastpong("train", "--resume", "--episodes", "2", cwd=tmp_path)
    assert done.returncode == 0, done
    assert "runs/whole has 3 episodes, and 2 were asked for" in done.stdout
    assert "--episodes 6" in done.stdout


def test_fastpong_alone_shows_its_help(home: Path) -> None:
    done = fastpong(cwd=home)
    assert done.returncode == 2
    assert done.stderr.startswith("Usage: fastpong [OPTIONS] COMMAND")


def test_eval_greedy_in_another_environment(trained: tuple[Path, str], home: Path) -> None:
    settings = ["--greedy", "--env", "PongNoFrameskip-v4", "--episodes", 2, "--workers", 1]
    done = fastpong("eval", trained[0], *settings, cwd=home)
    assert done.returncode == 0, done
    assert "plays PongNoFrameskip-v4" in done.stdout
    games = re.findall(r"^game \d+  (.*)$", done.stdout, re.M)
    assert games[0] == games[1], "nothing is left to chance"


def test_plot(trained: tuple[Path, str], home: Path) -> None:
    done = fastpong("plot", trained[0], "-o", "curve.png", "--x", "wall", cwd=home)
    assert (done.returncode, done.stdout) == (0, "wrote curve.png\n"), done
    assert (home / "curve.png").read_bytes().startswith(b"\x89PNG")


def test_info(home: Path) -> None:
    done = fastpong("info", cwd=home)
    assert done.returncode == 0, done
    table = dict(re.findall(r"^(\S.*?)  +(.+)$", done.stdout, re.M))
    assert {"fastpong", "python", "numpy", "ale-py", "cpu", "cores usable"} <= table.keys()
    assert re.fullmatch(r"[a-z, ]*numpy \(default: \w+\)", table["backends"])


def test_version(home: Path) -> None:
    done = fastpong("--version", cwd=home)
    assert re.fullmatch(r"fastpong \d+\.\d+\.\d+\S*\n", done.stdout)


def test_help_is_quick_and_complete(home: Path) -> None:
    code = (
        "import sys; from fastpong.cli.main import run; status = run(['train', '--help'])\n"
        "heavy = {'numba', 'ale_py', 'gymnasium', 'rich', 'matplotlib', 'tensorboardX'}\n"
        "print(heavy & set(sys.modules), file=sys.stderr); sys.exit(status)"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "set()\n")
    flags = (
        "--agent --env --workers --episodes --batch-size --lag --hidden --learning-rate --gamma "
        "--decay --epsilon --seed --backend --dtype --config --run-dir --resume --save-every "
        "--progress --no-progress"
    )
    for flag in flags.split():
        assert flag in done.stdout
    assert "Settings of agent pg" in done.stdout
    assert re.search(r"--gamma.*default:\s+0.99", done.stdout, re.S)


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("fastpong tr", "train"),
        ("fastpong train --batch", "--batch-size"),
        ("fastpong train --env Pong-v", "Pong-v4"),
        ("fastpong eval --backend nump", "numpy"),
        ("fastpong plot --x w", "wall"),
    ],
)
def test_completion(home: Path, words: str, offered: str) -> None:
    env = {"_FASTPONG_COMPLETE": "bash_complete", "COMP_WORDS": words}
    done = fastpong(cwd=home, env=env | {"COMP_CWORD": str(len(words.split()) - 1)})
    assert f",{offered}\n" in done.stdout


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_import_of_the_reference_model(tmp_path: Path, protocol: int) -> None:
    rng = np.random.default_rng(1)
    model = {"W1": rng.standard_normal((5, 6400)) / 80, "W2": rng.standard_normal(5)}
    (tmp_path / "save.p").write_bytes(pickle.dumps(model, protocol))
    done = fastpong("import", "save.p", "run", "--env", "PongDeterministic-v4", cwd=tmp_path)
    assert done.returncode == 0, done
    made = checkpoint.newest(tmp_path / "run" / "checkpoints")[0]
    assert made.episode == 0
    w1, w2 = made.arrays["parameters/0/w1"], made.arrays["parameters/0/w2"]
    np.testing.assert_array_equal(w1, model["W1"].T.astype(np.float32))
    np.testing.assert_array_equal(w2, model["W2"].astype(np.float32))
    if protocol == 2:
        done = fastpong("eval", "run", "--episodes", 1, "--workers", 1, cwd=tmp_path)
        assert done.returncode == 0, done
        settings = ["--episodes", 1, "--workers", 1]
        done = fastpong("train", "--resume", "run", *settings, cwd=tmp_path)
        assert done.returncode == 0, done
        assert len(rows(tmp_path / "run")) == 1


# --- bad input ----------------------------------------------------------------------------------


@pytest.fixture
def complain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Any:
    """Run a command that must fail before it starts a process; return its status and complaint."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> tuple[int, str]:
        status = cli.run([str(argument) for argument in arguments])
        printed, errors = capfd.readouterr()
        assert printed == ""
        assert errors.startswith("fastpong: error: ")
        assert errors.count("\n") == 1, errors
        return status, errors

    return run


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("--env", "Pong-v9", "Pong-v0"),
        ("--env", "ALE/Breakout-v5", "ALE/Pong-v5"),
        ("--agent", "a3c", "pg"),
        ("--backend", "fortran", "cython"),
        ("--dtype", "float16", "float32"),
        ("--workers", "0", "an integer in [1, 1024], got 0"),
        ("--workers", "-3", "an integer in [1, 1024], got -3"),
        ("--workers", "two", "an integer in [1, 1024], got 'two'"),
        ("--workers", "1.5", "an integer in [1, 1024], got '1.5'"),
        ("--batch-size", "0", "an integer >= 1, got 0"),
        ("--hidden", "0", "an integer >= 1, got 0"),
        ("--episodes", "0", "an integer >= 1, got 0"),
        ("--save-every", "0", "an integer >= 1, got 0"),
        ("--seed", "-1", "an integer >= 0, got -1"),
        ("--lag", "-1", "an integer in [0, 16], got -1"),
        ("--gamma", "1.01", "a number in [0, 1], got 1.01"),
        ("--gamma", "-0.1", "a number in [0, 1], got -0.1"),
        ("--gamma", "nan", "a number in [0, 1], got nan"),
        ("--decay", "2", "a number in [0, 1], got 2"),
        ("--learning-rate", "fast", "a number > 0, got 'fast'"),
        ("--learning-rate", "inf", "a number > 0, got inf"),
        ("--epsilon", "0", "a number >= 1e-30, got 0.0"),
    ],
)
def test_a_bad_option_value_is_named(
    complain: Any, tmp_path: Path, option: str, value: str, expected: str
) -> None:
    status, message = complain("train", option, value)
    assert status == 2
    assert option in message
    assert expected in message
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("gama = 0.9", "gama: .*unknown.*nearest is gamma"),
        ("gamma = 'high'", r"gamma: expected a number in \[0, 1\], got 'high'"),
        ("hidden = 1.5", "hidden: expected an integer >= 1, got 1.5"),
        ("workers = true", "workers: expected an integer in .1, 1024., got True"),
        ("env = 3", "env: expected one of .*got 3"),
        ("agent = ['pg']", "agent: expected one of pg, conv, ppo, dqn, got"),
        ("gamma 0.9", "expected a TOML file.*line 1"),
        ("[train]\ngamma = 0.9", "train: expected a setting, got a table"),
    ],
)
def test_a_bad_config_file_is_named_with_its_key(
    complain: Any, tmp_path: Path, content: str, expected: str
) -> None:
    (tmp_path / "bad.toml").write_text(content)
    status, message = complain("train", "--config", "bad.toml")
    assert status == 2
    assert re.search(rf"bad\.toml: .*{expected}", message), message


def test_a_good_config_file_is_not_blamed_for_the_command_line(
    complain: Any, tmp_path: Path
) -> None:
    (tmp_path / "good.toml").write_text("agent = 'ppo'")
    status, message = complain("train", "--config", "good.toml", "--levels", "3x3:1")
    assert status == 2 and "levels: expected" in message and "good.toml" not in message
    (tmp_path / "bad.toml").write_text("agent = 'ppo'\nlevels = '3x3:1'")
    status, message = complain("train", "--config", "bad.toml", "--seed", "1")
    assert status == 2 and "bad.toml: levels: expected" in message


@pytest.mark.parametrize(
    ("arguments", "expected", "status"),
    [
        (["train", "--no-such-option"], "--no-such-option", 2),
        (["trian"], "'trian'", 2),
        (["train", "--config", "nowhere.toml"], "nowhere.toml: No such file", 2),
        (["train", "--resume", "x", "--run-dir", "y"], "--resume and --run-dir", 2),
        (["train", "--resume"], "--resume: expected a run with a checkpoint", 1),
        (["train", "--resume", "nowhere"], "nowhere: expected a run", 1),
        (["eval"], "CHECKPOINT", 2),
        (["eval", "nowhere.json"], "nowhere.json: is missing", 1),
        (["eval", "."], "expected a whole checkpoint: there is none", 1),
        (["eval", "save.p"], "save.p: is missing; name a run's directory, or a checkpoint", 1),
        (["eval", "/dev/null"], "expected a checkpoint, a file .json or .safetensors", 1),
        (["eval", "x.json", "--episodes", "0"], "--episodes", 2),
        (["eval", "x.json", "--workers", "0"], "--workers", 2),
        (["eval", "x.json", "--env", "Pong-v9"], "--env", 2),
        (["plot", "-o", "x.png"], "RUN", 2),
        (["plot", ".", "-o", "x.png"], ".: expected a run's directory or its metrics.csv", 1),
        (["plot", ".", "-o", "x.png", "--x", "y"], "--x", 2),
        (["import", "nowhere.p", "run"], "nowhere.p", 1),
        (["import", "nowhere.p"], "RUN", 2),
    ],
)
def test_a_bad_command_is_refused(
    complain: Any, arguments: list[str], expected: str, status: int
) -> None:
    got, message = complain(*arguments)
    assert expected in message
    assert got == status


def test_a_foreign_pickle_is_refused_and_not_executed(complain: Any, tmp_path: Path) -> None:
    (tmp_path / "evil.p").write_bytes(b"cos\nmkdir\n(Vowned\ntR.")
    status, message = complain("import", "evil.p", "run")
    assert status == 1
    assert "evil.p: " in message
    assert [path.name for path in tmp_path.iterdir()] == ["evil.p"]


def test_import_takes_hidden_and_agent_from_the_model(complain: Any, tmp_path: Path) -> None:
    model = {"W1": np.zeros((5, 6400)), "W2": np.zeros(5)}
    (tmp_path / "save.p").write_bytes(pickle.dumps(model, 2))
    assert "--hidden: expected 5" in complain("import", "save.p", "run", "--hidden", "200")[1]
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "mine.txt").touch()
    assert "run: expected a new or an empty directory" in complain("import", "save.p", "run")[1]


def test_a_run_directory_in_use_is_never_overwritten(run_copy: Path) -> None:
    before = {path: path.read_bytes() for path in run_copy.rglob("*") if path.is_file()}
    done = fastpong("train", *SMALL, "--run-dir", run_copy, cwd=run_copy)
    assert "expected a new or an empty directory" in complaint(done)
    after = {path: path.read_bytes() for path in run_copy.rglob("*") if path.is_file()}
    assert after.keys() == before.keys()
    assert all(after[path] == before[path] for path in before if path.name != ".lock")


@pytest.mark.parametrize(
    ("option", "value"),
    [("--hidden", "8"), ("--gamma", "0.5"), ("--env", "Pong-v0"), ("--dtype", "float64")],
)
def test_a_resumed_run_keeps_its_mathematics(
    complain: Any, run_copy: Path, option: str, value: str
) -> None:
    status, message = complain("train", "--resume", run_copy, option, value)
    assert status == 1
    assert option.removeprefix("--") in message
    assert "cannot change within a run" in message


def test_a_resumed_run_keeps_its_agent(complain: Any, run_copy: Path) -> None:
    status, message = complain("train", "--resume", run_copy, "--agent", "ppo", "--lanes", "3")
    assert status == 2
    assert "--agent: expected pg, the run's, or none, got ppo" in message


def test_a_run_without_a_whole_checkpoint_is_not_resumed(complain: Any, run_copy: Path) -> None:
    for path in (run_copy / "checkpoints").glob("*.safetensors"):
        path.write_bytes(path.read_bytes()[:-1])
    status, message = complain("train", "--resume", run_copy)
    assert status == 1
    for episode in ("00000003", "00000002", "00000000"):
        assert f"{episode}.safetensors: expected " in message
    assert "cannot be resumed" in message
    assert "expected a whole checkpoint" in complain("eval", run_copy)[1]
    status, message = complain("eval", run_copy / "checkpoints" / "00000003.json")
    assert status == 1
    assert "00000003.safetensors: expected " in message


def test_a_run_in_use_is_refused_by_the_real_command(run_copy: Path, tmp_path: Path) -> None:
    with training("--run-dir", "run", cwd=tmp_path) as process:
        done = fastpong("train", "--resume", "run", cwd=tmp_path)
        assert f"is in use by process {process.pid}" in complaint(done)


def test_a_wrong_backend_in_the_environment_is_named(home: Path) -> None:
    done = fastpong("train", cwd=home, env={"FASTPONG_BACKEND": "fortran"})
    assert "backend: expected one of cython, numba, numpy, got 'fortran'" in complaint(done)
