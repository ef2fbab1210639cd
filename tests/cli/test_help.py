"""The help: short for a beginner, whole for an agent, and quick."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from waiting import PATIENCE

from fastpong.agents import AGENTS
from fastpong.cli import errors as cli
from fastpong.settings.tables import settings_of

SHORT = [
    "--recipe",
    "--agent",
    "--env",
    "--workers",
    "--pool",
    "--episodes",
    "--total-timesteps",
    "--until",
    "--eval-every",
    "--seed",
    "--seeds",
    "--config",
    "--run-dir",
    "--resume",
    "--init-from",
    "--track",
    "--progress",
    "--watch",
    "--help",
]


def shown(capfd: pytest.CaptureFixture[str], *arguments: str) -> tuple[str, set[str]]:
    """Return a help text and the options described in it."""
    assert cli.run(["train", "--help", *arguments]) == 0
    text = capfd.readouterr().out
    return text, set(re.findall(r"^  (?:-h, )?(--[a-z0-9-]+)", text, re.M))


def test_help_is_light() -> None:
    code = (
        "import sys; from fastpong.cli.errors import run; status = run(['train', '--help'])\n"
        "heavy = {'numba', 'ale_py', 'gymnasium', 'rich', 'matplotlib', 'tensorboardX'}\n"
        "print(heavy & set(sys.modules), file=sys.stderr); sys.exit(status)"
    )
    command = [sys.executable, "-P", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    assert (done.returncode, done.stderr) == (0, "set()\n")
    assert "--recipe" in done.stdout


def test_the_short_help_fits_a_screen(capfd: pytest.CaptureFixture[str]) -> None:
    text, options = shown(capfd)
    assert options == set(SHORT)
    assert len(text.splitlines()) <= 48
    assert "fastpong train --agent ppo --help" in text


@pytest.mark.parametrize("agent", AGENTS)
def test_an_agents_help_has_its_settings_and_no_others(
    capfd: pytest.CaptureFixture[str], agent: str
) -> None:
    text, options = shown(capfd, "--agent", agent)
    own = {"--" + name.replace("_", "-") for name in settings_of(agent)}
    shared = {
        "--emulator",
        "--task-timeout",
        "--backend",
        "--dtype",
        "--save-every",
        "--until-episodes",
    }
    shared |= {"--frame-skip", "--sticky", "--eval-episodes"}
    assert options == {*SHORT, *shared, *own}
    assert f"Settings of agent {agent}" in text
    assert f"default: {AGENTS[agent].defaults.get('episodes', 8000)}" in text


@pytest.mark.parametrize(
    ("arguments", "agent"),
    [(["--agent=pg"], "karpathy"), (["--agent", "conv"], "keras"), (["--recipe", "pong"], "ppo")],
)
def test_help_knows_old_names_and_recipes(
    capfd: pytest.CaptureFixture[str], arguments: list[str], agent: str
) -> None:
    assert f"Settings of agent {agent}" in shown(capfd, *arguments)[0]
