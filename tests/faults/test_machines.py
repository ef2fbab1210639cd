"""Machines that deny something: training goes on another way, or says in a line why not."""

from __future__ import annotations

import contextlib
import errno
import os
import platform
import subprocess
import sys
from pathlib import Path

import denied
import pytest
from commands import SMALL, complaint, fastpong
from runs import after, begun
from waiting import PATIENCE

SHORT = ("--episodes", 2, "--workers", 2)
needs_x86 = pytest.mark.skipif(
    (sys.platform, platform.machine()) != ("linux", "x86_64"), reason="numbers of system calls"
)


@needs_x86
def test_where_memfd_create_is_denied_a_nameless_file_serves(tmp_path: Path) -> None:
    errors = {"EACCES": errno.EACCES, "ENOSYS": errno.ENOSYS}
    with contextlib.ExitStack() as stack:
        running = {
            name: stack.enter_context(
                begun(
                    *SHORT, "--run-dir", name, cwd=tmp_path,
                    before=[
                        sys.executable, denied.__file__, str(denied.MEMFD_CREATE), str(number)
                    ],
                    env=os.environ | {"TMPDIR": str(tmp_path)},
                )
            )
            for name, number in errors.items()
        }  # fmt: skip
        for name, process in running.items():
            printed, told = process.communicate(timeout=PATIENCE)
            assert process.returncode == 0 and "trained 2 episodes" in printed
            assert told == (
                f"fastpong: warning: memfd_create is denied here ({os.strerror(errors[name])}); "
                f"the weights lie in an unlinked file in {tmp_path}\n"
            )
    assert {path.name for path in tmp_path.iterdir()} == {*errors}


def test_a_long_name_of_the_temporary_directory_does_no_harm(tmp_path: Path) -> None:
    directory = tmp_path / ("x" * 100)
    directory.mkdir()
    done = fastpong("train", *SMALL, *SHORT, cwd=tmp_path, env={"TMPDIR": str(directory)})
    assert (done.returncode, done.stderr) == (0, "")
    assert [*directory.iterdir()] == []


def test_few_open_files_are_enough_or_a_line_says_so_before_any_work(tmp_path: Path) -> None:
    limited = after("import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (32, 32))")
    arguments = ("--episodes", 2, "--eval-every", 1, "--eval-episodes", 8, "--run-dir")
    with begun(*arguments, "run", "--workers", 8, cwd=tmp_path, before=limited) as process:
        done = subprocess.run(
            [*limited, sys.executable, "-P", "-m", "fastpong", "train", *SMALL,
             *map(str, arguments), "another", "--workers", "16"],
            cwd=tmp_path, capture_output=True, text=True,
        )  # fmt: skip
        assert "workers: expected a limit of 48 open files for so many, got 32" in complaint(done)
        assert "ulimit -n 48" in complaint(done)
        assert not (tmp_path / "another").exists()
        printed, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0 and errors == ""
    assert "trained" in printed


def test_a_low_limit_is_raised_as_far_as_it_may_be(tmp_path: Path) -> None:
    limited = after(
        "import resource as r; r.setrlimit(r.RLIMIT_NOFILE, (24, r.getrlimit(r.RLIMIT_NOFILE)[1]))"
    )
    arguments = ("--episodes", 2, "--workers", 8, "--eval-every", 1, "--eval-episodes", 8)
    with begun(*arguments, cwd=tmp_path, before=limited) as process:
        _, errors = process.communicate(timeout=PATIENCE)
    assert (process.returncode, errors) == (0, "")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="mounts need root")
def test_a_small_shared_memory_holds_no_weights(tmp_path: Path) -> None:
    mounted = ["unshare", "-m", "sh", "-c", 'mount -t tmpfs -o size=64k none /dev/shm && exec "$@"']
    if subprocess.run([*mounted, "sh", "true"], capture_output=True).returncode:
        pytest.skip("nothing can be mounted here")
    with begun(*SHORT, "--hidden", 20, cwd=tmp_path, before=[*mounted, "sh"]) as process:
        printed, errors = process.communicate(timeout=PATIENCE)
    assert (process.returncode, errors) == (0, "")
    assert "trained 2 episodes" in printed


def test_a_daemonic_process_trains_too(tmp_path: Path) -> None:
    program = f"""
import multiprocessing

def train():
    import fastpong
    with fastpong.train(env="PongDeterministic-v4", agent="karpathy", hidden=4, batch_size=2,
                        episodes=2, workers=2, run_dir={str(tmp_path / "run")!r}) as training:
        print("trained", training.run().episode)

if __name__ == "__main__":
    process = multiprocessing.get_context("fork").Process(target=train, daemon=True)
    process.start()
    process.join()
"""
    script = tmp_path / "script.py"
    script.write_text(program)
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, cwd=tmp_path
    )
    assert "trained 2" in done.stdout and done.stderr == ""


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_other_start_methods_say_what_they_cannot(method: str) -> None:
    program = f"""
import multiprocessing
from fastpong.runtime.launch import checked_method
multiprocessing.current_process()._config["daemon"] = True
try:
    checked_method({method!r})
except ValueError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True)
    assert "expected start_method 'forkserver' inside a daemonic process" in done.stdout
