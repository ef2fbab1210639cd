"""The command ``fastpong play``: a trained agent's games, to look at."""

from __future__ import annotations

import signal
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fastpong.cli.checkpoints import PATH
from fastpong.cli.display import say
from fastpong.cli.interrupt import Interrupt
from fastpong.cli.options import Names
from fastpong.cli.shown import Shown, find_shown

if TYPE_CHECKING:
    from fastpong.viewing.show import Result


class Speed(click.ParamType):  # type: ignore[type-arg]
    """Describe a factor of the game's own speed, or "max"."""

    name = "number"

    def convert(
        self, value: str | float, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the factor, infinite for "max"."""
        if value == "max":
            return float("inf")
        try:
            speed = float(value)
        except ValueError:
            speed = 0.0
        if not 0.01 <= speed <= 1000:
            self.fail(f"expected a factor from 0.01 to 1000, or max, got {value!r}", param, ctx)
        return speed


@click.command(short_help="Watch an agent play.")
@click.argument("run", type=PATH, required=False)
@click.option("--checkpoint", "episode", type=click.IntRange(min=0), metavar="EPISODE",
              help="The run's checkpoint of that episode.  [default: the newest]")  # fmt: skip
@click.option("--games", type=click.IntRange(min=1), help="Games to play.  [default: until q]")
@click.option("--speed", type=Speed(), default=1.0, metavar="FACTOR",
              help="Factor of the game's 60 frames a second, or max.  [default: 1]")  # fmt: skip
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True,
              help="Seed of the games, as of eval: the same seed, the same games.")  # fmt: skip
@click.option("--greedy", "--deterministic", is_flag=True,
              help="Take the likeliest action; else it is sampled.")  # fmt: skip
@click.option("--env", type=Names("fastpong.envs.variants", "VARIANTS"),
              help="Environment to play.  [default: the run's]")  # fmt: skip
@click.option("--emulator", type=Names("fastpong.envs.choice", "EMULATORS"),
              help="Emulator to play on; the games are the same.  [default: the run's]",
              )  # fmt: skip
@click.option("--backend", type=Names("fastpong.kernels", "MODULES"),
              help="Kernels to compute with.  [default: the best there is]")  # fmt: skip
def play(
    run: Path | None,
    episode: int | None,
    games: int | None,
    speed: float,
    seed: int,
    greedy: bool,
    env: str | None,
    emulator: str | None,
    backend: str | None,
) -> int:
    """Watch an agent play.

    RUN is a run directory, for its newest whole checkpoint, a checkpoint's file, exported weights,
    or the name of pretrained ones. Without it: the newest run under runs/, else pretrained weights.
    The games are those of fastpong eval with the same seed.

    Keys: space pauses, n begins the next game, + and - change the speed, q ends.
    """
    with Interrupt() as interrupt:
        from fastpong.viewing.terminal import check_terminal

        check_terminal()
        agent = find_shown(
            run, episode, seed=seed, greedy=greedy, env=env, emulator=emulator, backend=backend
        )
        return _show(agent, games, speed, interrupt)


def _show(agent: Shown, games: int | None, speed: float, interrupt: Interrupt) -> int:
    """Show games until someone has enough, and print their results."""
    from fastpong.viewing.colours import Painter
    from fastpong.viewing.scene import Caption
    from fastpong.viewing.show import Show
    from fastpong.viewing.terminal import Terminal, ascii_only, depth

    found, player = agent.found, agent.player
    caption = Caption(
        [player.agent, agent.trained, player.env],
        "computer",
        player.agent,
        "",
        ["q quit  space pause", "n next  +- speed"],
    )
    painter = Painter(depth(), ascii_only=ascii_only())
    watcher = agent.watcher()
    results: list[Result] = []
    with Terminal() as terminal:
        interrupt.deferred, interrupt.restore = True, terminal.restore
        show = Show(terminal, watcher, caption, painter, speed, interrupt)
        numbers = range(games) if games else count()
        results += show.run(iter(numbers), games)
    say(f"{found.path}: {player.agent} after {found.episode:,} games, plays {player.env}")
    for result in results:
        left, right = result.score
        say(f"episode {result.number + 1}  return {right - left:+d}  length {result.steps}")
    return 0 if interrupt.number in (0, signal.SIGINT) else interrupt.status
