"""The command ``fastpong``. This room alone prints.

Imports at the top are light: ``--help`` and completion answer quickly, and a command imports what
it needs when it runs.
"""

from __future__ import annotations

import click

from fastpong.cli.evaluate import evaluate
from fastpong.cli.export import export
from fastpong.cli.import_model import import_model
from fastpong.cli.info import info
from fastpong.cli.plot import plot
from fastpong.cli.recipes import recipes
from fastpong.cli.train import train

COMPLETION = """\b
Completion of commands, options and values, for good:
  bash  echo 'eval "$(_FASTPONG_COMPLETE=bash_source fastpong)"' >> ~/.bashrc
  zsh   echo 'eval "$(_FASTPONG_COMPLETE=zsh_source fastpong)"' >> ~/.zshrc
  fish  echo '_FASTPONG_COMPLETE=fish_source fastpong | source' \\
          > ~/.config/fish/completions/fastpong.fish
"""
_CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


@click.group(context_settings=_CONTEXT, epilog=COMPLETION)
@click.version_option(package_name="fastpong", message="fastpong %(version)s")
def cli() -> None:
    """Train Atari Pong agents from pixels, on ordinary CPUs."""


for command in (train, evaluate, plot, recipes, info, import_model, export):
    cli.add_command(command)
