"""The command ``fastpong``. This room alone prints.

Imports at the top are light: ``--help`` and completion answer quickly, and a command imports what
it needs when it runs.
"""

from __future__ import annotations

import click

from fastpong.cli.board import board
from fastpong.cli.evaluate import evaluate
from fastpong.cli.export import export
from fastpong.cli.import_model import import_model
from fastpong.cli.info import info
from fastpong.cli.play import play
from fastpong.cli.plot import plot
from fastpong.cli.recipes import recipes
from fastpong.cli.report import report
from fastpong.cli.train import train
from fastpong.cli.video import video

COMPLETION = """\b
Completion of commands, options and values in every new shell:
  bash  echo 'eval "$(_FASTPONG_COMPLETE=bash_source fastpong)"' >> ~/.bashrc
  zsh   echo 'eval "$(_FASTPONG_COMPLETE=zsh_source fastpong)"' >> ~/.zshrc
  fish  echo '_FASTPONG_COMPLETE=fish_source fastpong | source' \\
          > ~/.config/fish/completions/fastpong.fish
"""
ALIASES = {"enjoy": "play"}
"""Commands by rl-zoo's names."""

_CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class Commands(click.Group):
    """Know the commands, and other programs' names of them."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command by either name."""
        return super().get_command(ctx, ALIASES.get(cmd_name, cmd_name))


@click.group(cls=Commands, context_settings=_CONTEXT, epilog=COMPLETION)
@click.version_option(package_name="fastpong", message="fastpong %(version)s")
def cli() -> None:
    """Train Atari Pong agents from pixels, on ordinary CPUs."""


for command in (
    train, evaluate, play, video, plot, report, board, recipes, info, import_model, export,
):  # fmt: skip
    cli.add_command(command)
