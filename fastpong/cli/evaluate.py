"""The command ``fastpong eval``: episodes with fixed weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fastpong.cli.checkpoints import PATH, default_agent, find_checkpoint
from fastpong.cli.display import say, say_table, warn
from fastpong.cli.interrupt import Interrupt
from fastpong.cli.names import Names
from fastpong.cli.options import as_option
from fastpong.printable import counted

if TYPE_CHECKING:
    from fastpong.storage.finding import Found
    from fastpong.training.evaluation import Game, Player


@click.command("eval", short_help="Play episodes with the weights of a checkpoint.")
@click.argument("run", type=PATH, required=False, metavar="[RUN]")
@click.option("--checkpoint", metavar="EPISODE",
              help="The run's checkpoint of that episode, or its file.  [default: the newest]",
              )  # fmt: skip
@click.option("--episodes", type=click.IntRange(min=1), default=100, show_default=True,
              help="Episodes to play; more give a surer mean.")  # fmt: skip
@click.option("--quiet", "-q", is_flag=True, help="Print the summary alone.")
@click.option("--json", "as_json", is_flag=True,
              help="Print one JSON object: the summary, and every return and length.")  # fmt: skip
@click.option("--workers", type=click.IntRange(min=1),
              help="Worker processes; the episodes are the same for any number.  [default: cores]",
              )  # fmt: skip
@click.option("--greedy", "--deterministic", is_flag=True,
              help="Take the likeliest action; else it is sampled (dqn: a share of eval_eps is "
              "random).",
              )  # fmt: skip
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True,
              help="Seed of the episodes; none of them is one of training's.")  # fmt: skip
@click.option("--env", type=Names("fastpong.envs.variants", "VARIANTS"),
              help="Environment to play.  [default: the run's]")  # fmt: skip
@click.option("--frame-skip", "--frameskip", type=click.IntRange(min=1), metavar="FRAMES",
              help="The same game with this frame skip.  [default: the environment's]",
              )  # fmt: skip
@click.option("--sticky", "--repeat-action-probability", type=click.FloatRange(0, 1),
              metavar="PROBABILITY",
              help="The same game with such sticky actions.  [default: the environment's]",
              )  # fmt: skip
@click.option("--emulator", type=Names("fastpong.envs.choice", "EMULATORS"),
              help="Emulator to play on; the episodes are the same.  [default: the run's]",
              )  # fmt: skip
@click.option("--backend", type=Names("fastpong.kernels", "MODULES"),
              help="Kernels to compute with.  [default: the best there is]")  # fmt: skip
def evaluate(
    run: Path | None,
    checkpoint: str | None,
    episodes: int,
    quiet: bool,
    as_json: bool,
    workers: int | None,
    greedy: bool,
    seed: int,
    env: str | None,
    frame_skip: int | None,
    sticky: float | None,
    emulator: str | None,
    backend: str | None,
) -> int:
    """Play episodes with the weights of a checkpoint.

    RUN is a run directory, for its newest whole checkpoint, a .json or .safetensors file of its
    checkpoints, a .safetensors file of fastpong export, or the name of pretrained weights. Without
    it: the newest run under runs/, else pretrained weights.
    """
    with Interrupt() as interrupt:
        from fastpong.envs.variants import find_variant
        from fastpong.settings.config import available_cores, default_backend
        from fastpong.training.evaluation import evaluate as play
        from fastpong.training.evaluation import restore

        found = find_checkpoint(run or default_agent(), checkpoint)
        player, parameters = restore(
            found, backend or default_backend(), seed=seed, greedy=greedy, emulator=emulator
        )
        player = _moved(player, env, frame_skip, sticky)
        workers = workers or available_cores()
        if not as_json:
            if env not in (None, player.env):
                say(find_variant(player.env).explained)
            after = counted(found.episode, "episode")
            say(f"{found.path}: {player.agent} after {after}, plays {player.place}")
        played = []
        interrupt.deferred = True
        for game in play(player, parameters, episodes=episodes, workers=workers, stop=interrupt):
            if not (quiet or as_json):
                say(f"episode {game.number + 1}  return {game.score:+.0f}  length {game.length}")
            played.append(game)
        if played and as_json:
            say(json.dumps(_as_json(found, player, played)))
        elif played:
            stopped = f" of {episodes}, stopped by {interrupt.name}" if interrupt() else ""
            _summarize(played, stopped + (", greedy" if greedy else ""))
        return interrupt.status


def _moved(
    trained: Player, env: str | None, frame_skip: int | None, sticky: float | None
) -> Player:
    """Return the player in the environment asked for, with a warning if it is another one."""
    try:
        player = trained.elsewhere(env, frame_skip, sticky)
    except ValueError as error:
        raise click.UsageError(as_option(error)) from None
    variant, played = trained.variant, player.variant
    if told := variant.differences(played.frameskip, played.sticky):
        warn(f"warning: {variant.warning(told)}")
    return player


def _summarize(played: list[Game], note: str) -> None:
    from fastpong.training.evaluation import summarize

    summary = summarize([game.score for game in played], [game.length for game in played])
    frames, deviation = sum(game.frames for game in played) / len(played), summary.deviation
    say_table(
        {
            "episodes": f"{summary.episodes}{note}",
            "mean": f"{summary.mean:.2f}",
            "standard deviation": "-" if deviation is None else f"{deviation:.2f}",
            "min": f"{summary.lowest:.0f}",
            "max": f"{summary.highest:.0f}",
            "wins": f"{summary.wins} of {summary.episodes}",
            "mean length": f"{summary.mean_length:.0f} steps, {frames:.0f} frames",
        }
    )


def _as_json(found: Found, player: Player, played: list[Game]) -> dict[str, object]:
    from fastpong.training.evaluation import summarize

    returns, lengths = [game.score for game in played], [game.length for game in played]
    summary = summarize(returns, lengths)
    return {
        "checkpoint": str(found.path),
        "agent": player.agent,
        "trained_episodes": found.episode,
        "env": player.env,
        "frame_skip": player.variant.frameskip,
        "seed": player.seed,
        "deterministic": player.greedy,
        "episodes": summary.episodes,
        "mean": summary.mean,
        "standard_deviation": summary.deviation,
        "min": summary.lowest,
        "max": summary.highest,
        "wins": summary.wins,
        "mean_length": summary.mean_length,
        "returns": returns,
        "lengths": lengths,
        "frames": [game.frames for game in played],
    }
