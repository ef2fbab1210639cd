"""Wrong commands, options, files: one line each, and no traceback."""

from __future__ import annotations

import dataclasses
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import (
    SMALL,
    complaint,
    fastpong,
    inside,
    training,
)  # fmt: skip

from fastpong.console.cartridge import load_rom
from fastpong.console.games import COVERED


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("--env", "Pong-v9", "Pong-v0"),
        ("--env", "ALE/Breakout-v5", "ALE/Pong-v5"),
        ("--agent", "a3c", "karpathy"),
        ("--emulator", "stella", "auto"),
        ("--backend", "fortran", "cython"),
        ("--dtype", "float16", "float32"),
        ("--workers", "0", "an integer in [1, 1024], got 0"),
        ("--workers", "-3", "an integer in [1, 1024], got -3"),
        ("--workers", "two", "an integer in [1, 1024], got 'two'"),
        ("--workers", "1.5", "an integer in [1, 1024], got '1.5'"),
        ("--batch-size", "0", "an integer in [1, 65536], got 0"),
        ("--hidden", "0", "an integer in [1, 16384], got 0"),
        ("--episodes", "0", "an integer >= 1, got 0"),
        ("--save-every", "0", "an integer >= 1, got 0"),
        ("--until", "22", "a number in [-21, 21], got 22.0"),
        ("--until", "-21.5", "a number in [-21, 21], got -21.5"),
        ("--seed", "-1", "an integer >= 0, got -1"),
        ("--lag", "-1", "an integer in [0, 16], got -1"),
        ("--gamma", "1.01", "a number in [0, 1], got 1.01"),
        ("--gamma", "-0.1", "a number in [0, 1], got -0.1"),
        ("--gamma", "nan", "a number in [0, 1], got nan"),
        ("--rmsprop-decay", "2", "a number in [0, 1], got 2"),
        ("--learning-rate", "fast", "a number > 0, got 'fast'"),
        ("--learning-rate", "inf", "a number > 0, got inf"),
        ("--rmsprop-eps", "0", "a number >= 1e-30, got 0.0"),
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
        ("hidden = 1.5", r"hidden: expected an integer in \[1, 16384\], got 1.5"),
        ("workers = true", "workers: expected an integer in .1, 1024., got True"),
        ("env = 3", "env: expected one of .*got 3"),
        ("agent = ['karpathy']", "agent: expected one of karpathy, keras, ppo, dqn, got"),
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
    status, message = complain("train", "--config", "good.toml", "--coarse-cells", "3x3:1")
    assert status == 2 and "coarse_cells: expected" in message and "good.toml" not in message
    (tmp_path / "bad.toml").write_text("agent = 'ppo'\ncoarse_cells = '3x3:1'")
    status, message = complain("train", "--config", "bad.toml", "--seed", "1")
    assert status == 2 and "bad.toml: coarse_cells: expected" in message


@pytest.mark.parametrize(
    ("arguments", "expected", "status"),
    [
        (["train", "--no-such-option"], "--no-such-option", 2),
        (["trian"], "'trian'", 2),
        (["train", "--config", "nowhere.toml"], "nowhere.toml: No such file", 2),
        (["train", "--resume", "x", "--run-dir", "y"], "--resume and --run-dir", 2),
        (["train", "--resume", "x", "--recipe", "pong"], "--recipe: expected none", 2),
        (["train", "--recipe", "pong", "--config", "x"], "--recipe and --config", 2),
        (["train", "--recipe", "pnog"], "'pong', 'pong-sticky'; did you mean pong?", 2),
        (["train", "--recipe", "ppo"], "; ppo is an agent: --agent ppo", 2),
        (["train", "--agent", "pong"], "; pong is a recipe: --recipe pong", 2),
        (["train", "--agent", "karpaty"], "; did you mean karpathy?", 2),
        (["train", "--env", "pong"], "; pong is a recipe: --recipe pong", 2),
        (["train", "--env", "Pong-v5"], "; did you mean ", 2),
        (["train", "pong"], "got the word 'pong'; pong is a recipe: --recipe pong", 2),
        (["train", "dqn"], "got the word 'dqn'; dqn is an agent: --agent dqn", 2),
        (["train", "ALE/Pong-v5"], "is an environment: --env ALE/Pong-v5", 2),
        (["train", "pongsticky"], "; did you mean --recipe pong-sticky?", 2),
        (["train", "xyz"], "; a recipe stands after --recipe, as in --recipe pong", 2),
        (["train", "/"], "; to go on with a run: --resume /", 2),
        (["train", "a.safetensors"], "; to begin a run with these weights: --init-from a.safe", 2),
        (["train", "a.toml"], "; for settings of a file: --config a.toml", 2),
        (["eval", "--env", "Pong-v3"], "; did you mean Pong-v", 2),
        (["eval", "--env", "pong"], "'ALE/Pong-v5'", 2),
        (
            ["train", "--resume", "pong"],
            "--resume: expected a run's directory, got weights, pong; "
            "to begin a new run with them: fastpong train --init-from pong",
            1,
        ),
        (["train", "--recipe", "pong", "--agent", "dqn"], "--agent: expected ppo", 2),
        (["train", "--recipe", "pong-sticky", "--env", "Pong-v0"], "stage 2: frame_skip", 2),
        (["train", "--recipe", "pong-sticky", "--vf-coef", "-1"], "--vf-coef: expected", 2),
        (["train", "--agent", "ppo", "--n-step", "3"], "--n-step: is a setting of agent dqn", 2),
        (["recipes", "pnog"], "pong-sticky", 2),
        (["train", "--resume"], "--resume: expected a run with a checkpoint", 1),
        (["train", "--resume", "nowhere"], "nowhere: expected a run", 1),
        (["eval", "nowhere.json"], "nowhere.json: does not exist", 1),
        (["eval", "."], ".: expected a run, got an empty directory; name a run's directory", 1),
        (["eval", "/proc/self"], "/proc/self: expected a run, got another directory; name", 1),
        (
            ["eval", "save.p"],
            "save.p: does not exist; name a run's directory, a checkpoint in its",
            1,
        ),
        (["eval", "/dev/null"], "/dev/null: expected an agent, got no ordinary file", 1),
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
    done = inside("train", *SMALL, "--run-dir", run_copy, cwd=run_copy)
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


def test_the_advice_of_a_refused_resume_can_be_typed(tmp_path: Path) -> None:
    small = ("--env", "PongDeterministic-v4", "--hidden", 8, "--n-envs", 2, "--n-steps", 64)
    limits = ("--workers", 1, "--episodes", 1, "--run-dir", "my run")
    done = inside("train", "--agent", "ppo", *small, *limits, cwd=tmp_path)
    assert done.returncode == 0, done
    for asked, advised in (
        (["--last-action"], "--last-action"),
        (
            ["--gamma=.5", "--workers", 2, "--until", "never"],
            "--workers 2 --until never --gamma 0.5",
        ),
    ):
        message = complaint(inside("train", "--resume", "my run", *asked, cwd=tmp_path))
        assert message.endswith(f"fastpong train --init-from 'my run' {advised}"), message


def test_names_in_a_file_do_nothing_to_the_terminal(complain: Any, tmp_path: Path) -> None:
    hostile = "\x1b]0;owned\x07\x9b31m"
    (tmp_path / "save.p").write_bytes(pickle.dumps({hostile: 1}, 2))
    message = complain("import", "save.p", "run")[1]
    assert r"got a dictionary of \x1b]0;owned\x07\x9b31m" in message
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "w.h5", "w") as file:
        file.attrs["layer_names"] = [hostile[:-4].encode()]
        file.create_group(hostile[:-4]).attrs["weight_names"] = [b"\x1b[31m"]
    assert r"\x1b[31m is missing" in complain("import", "w.h5", "run")[1]


def test_a_rom_that_the_console_does_not_play(
    complain: Any, tmp_path: Path, run_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(COVERED, "pong", dataclasses.replace(COVERED["pong"], sha256="0" * 64))
    for command in (
        ["train"],
        ["eval", run_copy],
        ["train", "--resume", run_copy, "--episodes", 9],
    ):
        status, message = complain(*command, "--emulator", "console")
        assert status == 1
        assert "the ROM pong has 2048 bytes and sha256 41623e3c" in message
        assert message.endswith("--emulator ale plays it\n")
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("emulator", ["auto", "console", "ale"])
@pytest.mark.parametrize(
    ("length", "expected"), [(None, "cannot be read"), (1000, "got 1000 bytes with md5")]
)
def test_a_missing_or_truncated_rom(
    complain: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, emulator: str,
    length: int | None, expected: str,
) -> None:  # fmt: skip
    roms = tmp_path / "roms"
    roms.mkdir()
    if length is not None:
        (roms / "pong.bin").write_bytes(load_rom("pong").data[:length])
    monkeypatch.setenv("ALE_ROMS_DIR", str(roms))
    status, message = complain("train", "--emulator", emulator)
    assert status == 1
    assert re.search(rf"pong\.bin: expected the ROM pong.*{expected}.*unset ALE_ROMS_DIR", message)
    assert not (tmp_path / "runs").exists()


def test_a_resumed_run_keeps_its_agent(complain: Any, run_copy: Path) -> None:
    status, message = complain("train", "--resume", run_copy, "--agent", "ppo", "--n-envs", "3")
    assert status == 2
    assert "--agent: expected karpathy, the run's, or none, got ppo" in message


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
        done = inside("train", "--resume", "run", cwd=tmp_path)
        assert f"is in use by process {process.pid}" in complaint(done)


def test_a_wrong_backend_in_the_environment_is_named(home: Path) -> None:
    done = fastpong("train", cwd=home, env={"FASTPONG_BACKEND": "fortran"})
    assert "backend: expected one of cython, numba, numpy, got 'fortran'" in complaint(done)


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ("--lr", "is called --learning-rate here"),
        ("--num-envs", "is called --n-envs here"),
        ("--num-steps", "is called --n-steps here"),
        ("--algo", "is called --agent here"),
        ("--exp-name", "is called --run-dir here"),
        ("--log-dir", "is called --run-dir here"),
        ("--batch", "is called --batch-size here"),
        ("--epochs", "is called --n-epochs here"),
        ("--lanes", "is called --n-envs here"),
        ("--segment", "is called --n-steps here"),
        ("--anneal", "as in --learning-rate linear:START:END:STEPS"),
        ("--fine", "as in --recipe pong-sticky"),
        ("--refine", "as in --recipe pong-sticky"),
        ("--finest-gamma", "not here, because stages of a recipe"),
        ("--epsilon", "rmsprop_eps (agent karpathy), adam_eps (keras), exploration_final_eps"),
        ("--capture-video", "not here, because no pictures"),
        ("--render", "not here, because no pictures"),
        ("--wandb", "is called --track here, as in --track wandb"),
        ("--wandb-project-name", "not here, because --track wandb sends a run there"),
        ("--n-seeds", "is called --seeds here, as in --seeds 1 2 3"),
        ("--gpu", "not here, because everything runs on the CPU"),
        ("--device", "not here, because everything runs on the CPU"),
        ("--no-cuda", "not here, because everything runs on the CPU"),
        ("--tensorboard-log", "not here, because every run directory has"),
        ("--eval-freq", "is called --eval-every here"),
        ("--n-eval-episodes", "is called --eval-episodes here"),
    ],
)
def test_names_of_other_programs_are_answered(complain: Any, option: str, expected: str) -> None:
    status, message = complain("train", option, "1")
    assert (status, option in message) == (2, True)
    assert expected in message


def test_answers_name_options_that_exist() -> None:
    from fastpong.cli.options import settings
    from fastpong.settings.words import ABSENT, OURS

    known = {setting.name for setting in settings()}
    assert {name.split()[0] for name in OURS.values()} <= known | {
        *("recipe", "agent", "config", "resume", "run_dir", "seeds", "track")
    }
    assert not known & {*OURS, *ABSENT}
    assert not {*OURS} & {*ABSENT}
