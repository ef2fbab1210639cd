"""A real training run, the command itself, that can be paused and measured window by window.

The whole process group is stopped (SIGSTOP) while something else is measured and goes on
(SIGCONT) where it was: every window is of one long run in its stride, with the checkpoints and
logs that fall into it. Counted are the rows of the run's own metrics.csv: from the first episode
that ends in a window to the last one, their frames and steps by the run's own clock. Neither the
start of the run nor the edges of the window have a part in it.
"""

from __future__ import annotations

import contextlib
import csv
import os
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from measure import fastpong_command, plain_environment

from fastpong.acting.trajectory import Trajectory

WARM_EPISODES = 10
"""Episodes until a run is in its stride: the first update is made, workers are out of step."""

SETTINGS = {
    "--env": "Pong-v0",
    "--dtype": "float32",
    "--batch-size": "10",
    "--lag": "1",
    "--hidden": "200",
    "--save-every": "100",
}
KERAS_SETTINGS = {
    **{name: value for name, value in SETTINGS.items() if name != "--hidden"},
    "--agent": "keras",
}
PPO_SETTINGS = {"--agent": "ppo", "--env": "PongDeterministic-v4"}
# Ten episodes last some 14,000 steps.
DQN_SETTINGS = {"--agent": "dqn", "--env": "ALE/Pong-v5", "--learning-starts": "4096"}
PATIENCE_SECONDS = 120.0


@dataclass(frozen=True)
class Row:
    """What is needed of a row of metrics.csv."""

    episode: int
    score: float
    length: int
    frames: int
    total_steps: int
    total_frames: int
    wall_seconds: float


@dataclass(frozen=True)
class Window:
    """What a run did between two of its episodes' ends."""

    frames: int
    steps: int
    episodes: int
    seconds: float

    @property
    def frames_per_second(self) -> float:
        return self.frames / self.seconds

    @property
    def steps_per_second(self) -> float:
        return self.steps / self.seconds


class Training:
    """``fastpong train`` in a process group of its own; paused after the first episodes.

    directory : a new one; the run is in "run", what it prints in "progress.txt"
    """

    def __init__(
        self,
        workers: int,
        directory: Path,
        *,
        settings: Mapping[str, str] = SETTINGS,
        episodes: int = 1_000_000,
        warm: int = WARM_EPISODES,
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.run, self._output = directory / "run", directory / "progress.txt"
        settings = {**settings, "--workers": str(workers), "--episodes": str(episodes)}
        command = [*fastpong_command(), "train", "--run-dir", str(self.run)]
        for name, value in settings.items():
            command += [name, value]
        with self._output.open("wb") as output:
            # A group and not a session: if we are killed, the kernel ends a stopped group of our
            # session, and would leave one of another session stopped for ever.
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                process_group=0,
                env=plain_environment(),
            )
        try:
            self.wait_for(warm)
        except BaseException:
            self.close()
            raise

    def rows(self) -> list[Row]:
        """Return the whole rows written so far."""
        path = self.run / "metrics.csv"
        if not path.exists():
            return []
        text = path.read_text()
        whole = text[: text.rfind("\n") + 1].splitlines()
        return [
            Row(
                int(row["episode"]),
                float(row["return"]),
                int(row["length"]),
                int(row["frames"]),
                int(row["total_steps"]),
                int(row["total_frames"]),
                float(row["wall_seconds"]),
            )
            for row in csv.DictReader(whole)
        ]

    def wait_for(self, episodes: int, poll: float = 0.05) -> None:
        """Return once there are so many rows; RuntimeError where the run ends before or stalls."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while len(self.rows()) < episodes:
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"training did not go on:\n{self._output.read_text()[-2000:]}")
            time.sleep(poll)

    def pause(self) -> None:
        os.killpg(self.process.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        os.killpg(self.process.pid, signal.SIGCONT)

    def window(self, seconds: float) -> Window:
        """Let a paused run go on for so long, and for three episodes at least.

        Several may end with one update of rollouts: it goes on until one ends with another.
        """
        before = len(self.rows())
        self.go_on()
        time.sleep(seconds)
        self.wait_for(before + 3)
        while (rows := self.rows())[-1].wall_seconds <= rows[before].wall_seconds:
            self.wait_for(len(rows) + 1)
        self.pause()
        first, *_, last = self.rows()[before:]
        return Window(
            frames=last.total_frames - first.total_frames,
            steps=last.total_steps - first.total_steps,
            episodes=last.episode - first.episode,
            seconds=last.wall_seconds - first.wall_seconds,
        )

    def close(self) -> None:
        """End the run as Ctrl-C does, and by force if that does not do."""
        with contextlib.suppress(ProcessLookupError):
            self.go_on()
            self.process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(15)
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def check(run: Path, rows: list[Row]) -> None:
    """Raise AssertionError unless this is a whole run with all its logs, of real episodes.

    The first episode is played again here, with the frames counted one by one.
    """
    from cases.recorded import record

    from fastpong.storage import checkpoint

    newest, refusals = checkpoint.newest(run / "checkpoints")
    assert not refusals
    assert list(run.glob("events.out.tfevents.*"))
    assert [row.episode for row in rows] == list(range(1, len(rows) + 1))
    if newest.manifest["agent"] in ("ppo", "dqn"):
        return check_rollouts(rows)
    assert newest.manifest["config"]["batch_size"] == int(SETTINGS["--batch-size"])
    assert rows[-1].total_frames == sum(row.frames for row in rows)
    assert rows[-1].total_steps == sum(row.length for row in rows)
    if newest.manifest["agent"] == "keras":
        trajectory = first_keras_episode()
        frames = trajectory.frames
    else:
        again = record(episode=0)
        trajectory, frames = again.trajectory, again.frames_emulated
    assert (rows[0].score, rows[0].length) == (trajectory.score, trajectory.length)
    assert rows[0].frames == trajectory.frames == frames


def check_rollouts(rows: list[Row]) -> None:
    """Raise AssertionError unless these are episodes of an agent that plays rollouts.

    Of its frames some belong to games that have not ended; four make a step, but for the last step
    of a game, and up to thirty come before its first.
    """
    frames, steps, games = rows[-1].total_frames, rows[-1].total_steps, len(rows) + 16
    assert sum(row.frames for row in rows) <= frames
    assert sum(row.length for row in rows) <= steps
    assert 4 * steps - 3 * games <= frames <= 4 * steps + 30 * games


def first_keras_episode() -> Trajectory:
    """Play the first episode of the agent keras."""
    from cases.stages import only_stage

    from fastpong.agents.protocol import Chance
    from fastpong.envs.draws import TRAIN

    stage = only_stage("keras", "Pong-v0")
    actor = stage.spec.actor(stage, Chance(0, TRAIN))
    trajectory: Trajectory = actor.play(0, stage.spec.initial_parameters(0))
    return trajectory
