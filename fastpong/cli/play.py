"""The command ``fastpong play``: a trained agent's episodes, to look at."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fastpong.cli.checkpoints import PATH
from fastpong.cli.display import say
from fastpong.cli.interrupt import Interrupt
from fastpong.cli.names import Names
from fastpong.cli.shown import find_shown

if TYPE_CHECKING:
    from fastpong.viewing.duel import Side
    from fastpong.viewing.games import Games
    from fastpong.viewing.hand import Hand
    from fastpong.viewing.scene import Caption
    from fastpong.viewing.show import Result
    from fastpong.viewing.shown import Shown

_HANDS = ("mouse or up and down", "q quit  space pause")


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
@click.option("--checkpoint", metavar="EPISODE",
              help="The run's checkpoint of that episode, or its file.  [default: the newest]",
              )  # fmt: skip
@click.option("--window", is_flag=True, help="Open a window. Needs pygame and Pillow.")
@click.option("--human", "side", type=click.Choice(["left", "right"]),
              help="Play yourself: at the left against the agent, at the right against the "
              "computer.",
              )  # fmt: skip
@click.option("--episodes", type=click.IntRange(min=1),
              help="Episodes to play.  [default: until q]")  # fmt: skip
@click.option("--speed", type=Speed(), default=1.0, metavar="FACTOR",
              help="Factor of the game's 60 frames a second, or max.  [default: 1]")  # fmt: skip
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True,
              help="Seed of the episodes, which are those of eval with the same seed.")  # fmt: skip
@click.option("--greedy", "--deterministic", is_flag=True,
              help="Take the likeliest action; else it is sampled.")  # fmt: skip
@click.option("--env", type=Names("fastpong.envs.variants", "VARIANTS"),
              help="Environment to play.  [default: the run's]")  # fmt: skip
@click.option("--emulator", type=Names("fastpong.envs.choice", "EMULATORS"),
              help="Emulator to play on; the episodes are the same.  [default: the run's]",
              )  # fmt: skip
@click.option("--backend", type=Names("fastpong.kernels", "MODULES"),
              help="Kernels to compute with.  [default: the best there is]")  # fmt: skip
def play(
    run: Path | None,
    checkpoint: str | None,
    window: bool,
    side: Side | None,
    episodes: int | None,
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
    The episodes are those of fastpong eval with the same seed.

    Keys: space pauses, n begins the next episode, + and - change the speed, q ends. A person's
    paddle follows the mouse, or the arrows, w and s.
    """
    with Interrupt() as interrupt:
        if not window:
            from fastpong.viewing.terminal import check_terminal

            check_terminal()
        match = _against_computer(run) if side == "right" else None
        if match is None:
            agent = find_shown(
                run, checkpoint, seed=seed, greedy=greedy, env=env, emulator=emulator,
                backend=backend,
            )  # fmt: skip
            match = _against_agent(agent) if side == "left" else _watched(agent)
        results = _show(match, window, episodes, speed, interrupt)
        say(match.about)
        for result in results:
            say(_line(match, result))
        return 0 if interrupt.number in (0, signal.SIGINT) else interrupt.status


@dataclass(frozen=True)
class Match:
    """Describe the episodes of a command.

    about : a line for the end
    hand  : of the person who plays
    """

    games: Games
    caption: Caption
    about: str
    hand: Hand | None = None


def _watched(agent: Shown) -> Match:
    keys = ["q quit  space pause", "n next  +- speed"]
    return Match(agent.watcher(), _caption(agent, "computer", keys), agent.about)


def _against_agent(agent: Shown) -> Match:
    from fastpong.envs.variants import find_variant
    from fastpong.viewing.duel import Duel
    from fastpong.viewing.hand import Hand

    hand = Hand()
    duel = Duel(hand, find_variant(agent.player.env).max_frames)
    return Match(agent.watcher(duel), _caption(agent, "you", _HANDS), agent.about, hand)


def _against_computer(run: Path | None) -> Match:
    from fastpong.envs.games import PONG
    from fastpong.envs.variants import Variant
    from fastpong.viewing.duel import Solo
    from fastpong.viewing.hand import Hand
    from fastpong.viewing.scene import Caption

    if run is not None:
        raise click.UsageError(
            f"--human right: expected no RUN, since you play the computer, got {run}; --human left "
            "plays against the agent"
        )
    hand = Hand()
    solo = Solo(hand, Variant("", PONG).max_frames)
    caption = Caption(["you against the computer"], "computer", "you", "", _HANDS)
    return Match(solo, caption, "you against the computer", hand)


def _caption(agent: Shown, opponent: str, keys: Sequence[str]) -> Caption:
    from fastpong.viewing.scene import Caption

    player = agent.player
    title = [player.agent, agent.trained, player.env]
    return Caption(title, opponent, player.agent, "", keys)


def _show(
    match: Match, window: bool, episodes: int | None, speed: float, interrupt: Interrupt
) -> list[Result]:
    """Show episodes until someone has enough."""
    from fastpong.viewing.colours import Painter
    from fastpong.viewing.front import Front, TerminalFront
    from fastpong.viewing.show import Show
    from fastpong.viewing.terminal import Terminal, ascii_only, depth
    from fastpong.viewing.window import Window

    def show(front: Front) -> list[Result]:
        interrupt.deferred = True
        shown = Show(front, match.games, match.caption, speed, interrupt, match.hand)
        return [*shown.run(iter(range(episodes) if episodes else count()), episodes)]

    if window:
        with Window(match.caption) as opened:
            return show(opened)
    painter = Painter(depth(), ascii_only=ascii_only())
    with Terminal(played=match.hand is not None) as terminal:
        interrupt.restore = terminal.restore
        return show(TerminalFront(terminal, painter))


def _line(match: Match, result: Result) -> str:
    """Return an episode's result in words: as of eval, or who won."""
    left, right = result.score
    if match.hand is None:
        return f"episode {result.number + 1}  return {right - left:+d}  length {result.steps}"
    caption = match.caption
    return f"episode {result.number + 1}  {caption.left} {left} : {right} {caption.right}"
