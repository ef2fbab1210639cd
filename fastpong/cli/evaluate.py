"""The command ``fastpong eval``: episodes with fixed weights."""

from __future__ import annotations

from pathlib import Path

import click

from fastpong.cli.checkpoints import PATH, find_checkpoint
from fastpong.cli.display import say, say_table
from fastpong.cli.interrupt import Interrupt
from fastpong.cli.options import Names


@click.command("eval", short_help="Play episodes with the weights of a checkpoint.")
@click.argument("checkpoint", type=PATH)
@click.option("--episodes", type=click.IntRange(min=1), default=100, show_default=True,
              help="Episodes to play; more give a surer mean.")  # fmt: skip
@click.option("--workers", type=click.IntRange(min=1),
              help="Worker processes; the episodes are the same for any number.  [default: cores]",
              )  # fmt: skip
@click.option("--greedy", is_flag=True,
              help="Take the likeliest action; else it is sampled (dqn: a share of eval_eps is "
              "random).",
              )  # fmt: skip
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True,
              help="Seed of the episodes; none of them is one of training's.")  # fmt: skip
@click.option("--env", type=Names("fastpong.envs.variants", "VARIANTS"),
              help="Environment to play.  [default: the run's]")  # fmt: skip
@click.option("--emulator", type=Names("fastpong.envs.choice", "EMULATORS"),
              help="Emulator to play on; the episodes are the same.  [default: the run's]",
              )  # fmt: skip
@click.option("--backend", type=Names("fastpong.kernels", "MODULES"),
              help="Kernels to compute with.  [default: the best there is]")  # fmt: skip
def evaluate(
    checkpoint: Path,
    episodes: int,
    workers: int | None,
    greedy: bool,
    seed: int,
    env: str | None,
    emulator: str | None,
    backend: str | None,
) -> int:
    """Play episodes with the weights of a checkpoint.

    CHECKPOINT is a run directory, for its newest whole checkpoint, a .json or .safetensors file of
    its checkpoints, or a .safetensors file of fastpong export.
    """
    with Interrupt() as interrupt:
        from fastpong.settings.config import available_cores, default_backend
        from fastpong.training.evaluation import evaluate as play
        from fastpong.training.evaluation import restore

        found = find_checkpoint(checkpoint)
        player, parameters = restore(
            found,
            backend or default_backend(),
            env=env,
            seed=seed,
            greedy=greedy,
            emulator=emulator,
        )
        workers = workers or available_cores()
        say(f"{found.path}: {player.agent} after {found.episode:,} episodes, plays {player.env}")
        games = []
        interrupt.deferred = True
        for game in play(player, parameters, episodes=episodes, workers=workers, stop=interrupt):
            say(f"episode {game.number + 1}  return {game.score:+.0f}  length {game.length}")
            games.append(game)
        if games:
            stopped = f" of {episodes}, stopped by {interrupt.name}" if interrupt() else ""
            note = stopped + (", greedy" if greedy else "")
            frames = sum(game.frames for game in games) / len(games)
            _summarize(
                [game.score for game in games], [game.length for game in games], frames, note
            )
        return interrupt.status


def _summarize(scores: list[float], lengths: list[int], frames: float, note: str) -> None:
    from fastpong.training.evaluation import summarize

    summary = summarize(scores, lengths)
    say_table(
        {
            "episodes": f"{summary.episodes}{note}",
            "mean": f"{summary.mean:.2f}",
            "standard deviation": f"{summary.deviation:.2f}",
            "min": f"{summary.lowest:.0f}",
            "max": f"{summary.highest:.0f}",
            "wins": f"{summary.wins} of {summary.episodes}",
            "mean length": f"{summary.mean_length:.0f} steps, {frames:.0f} frames",
        }
    )
