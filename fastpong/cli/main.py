"""The command ``fastpong``: the only room that prints.

Imports at the top are light: ``--help`` and completion answer quickly, and a command imports what
it needs when it runs. Every error that a person can do something about is one line on standard
error and an exit status of 2 (the command line or config file) or 1 (everything else); a traceback
is a bug of ours, or comes from a worker.
"""

from __future__ import annotations

import shlex
import warnings
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fastpong.cli import plot as plotting
from fastpong.cli.display import say, warn
from fastpong.cli.interrupt import Interrupt, Interrupted
from fastpong.cli.options import Names, SettingsCommand, build
from fastpong.cli.train import train

if TYPE_CHECKING:
    from fastpong.storage.checkpoint import Checkpoint

COMPLETION = """\b
Completion of commands, options and values, for good:
  bash  echo 'eval "$(_FASTPONG_COMPLETE=bash_source fastpong)"' >> ~/.bashrc
  zsh   echo 'eval "$(_FASTPONG_COMPLETE=zsh_source fastpong)"' >> ~/.zshrc
  fish  echo '_FASTPONG_COMPLETE=fish_source fastpong | source' \\
          > ~/.config/fish/completions/fastpong.fish
"""
_CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
_PATH = click.Path(path_type=Path)


@click.group(context_settings=_CONTEXT, epilog=COMPLETION)
@click.version_option(package_name="fastpong", message="fastpong %(version)s")
def cli() -> None:
    """Train an Atari Pong agent from pixels, as fast as the emulator runs."""


cli.add_command(train)


@cli.command("eval", short_help="Play games with the weights of a checkpoint.")
@click.argument("checkpoint", type=_PATH)
@click.option("--episodes", type=click.IntRange(min=1), default=100, show_default=True,
              help="Games to play.")  # fmt: skip
@click.option("--workers", type=click.IntRange(min=1),
              help="Worker processes; the games are the same for any number.  [default: cores]",
              )  # fmt: skip
@click.option("--greedy", is_flag=True,
              help="Always the likelier action; else drawn (dqn's values: evaluation_exploration).",
              )  # fmt: skip
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True,
              help="Of the games; none of them is one of training's.")  # fmt: skip
@click.option("--env", type=Names("fastpong.envs.variants", "VARIANTS"),
              help="Environment to play.  [default: the run's]")  # fmt: skip
@click.option("--backend", type=Names("fastpong.kernels", "MODULES"),
              help="Kernels to compute with.  [default: the best there is]")  # fmt: skip
def evaluate(
    checkpoint: Path,
    episodes: int,
    workers: int | None,
    greedy: bool,
    seed: int,
    env: str | None,
    backend: str | None,
) -> int:
    """Play games with fixed weights: of a run's newest whole checkpoint, or of the one named.

    CHECKPOINT is a run directory, or a .json or .safetensors file of its checkpoints.
    """
    with Interrupt() as interrupt:
        from fastpong.settings.config import available_cores, default_backend
        from fastpong.training.evaluation import evaluate as play
        from fastpong.training.evaluation import restore, summarize

        found = _find_checkpoint(checkpoint)
        player, parameters = restore(
            found, backend or default_backend(), env=env, seed=seed, greedy=greedy
        )
        workers = workers or available_cores()
        say(f"{found.path}: {player.agent} after {found.episode:,} episodes, plays {player.env}")
        games = []
        interrupt.deferred = True
        for game in play(player, parameters, episodes=episodes, workers=workers, stop=interrupt):
            say(f"game {game.number + 1}  score {game.score:+.0f}  length {game.length}")
            games.append(game)
        if not games:
            return interrupt.status
        summary = summarize([game.score for game in games], [game.length for game in games])
        _say_table(
            {
                "episodes": f"{summary.episodes}"
                + (f" of {episodes}, stopped by {interrupt.name}" if interrupt() else "")
                + (", greedy" if greedy else ""),
                "mean": f"{summary.mean:.2f}",
                "standard deviation": f"{summary.deviation:.2f}",
                "min": f"{summary.lowest:.0f}",
                "max": f"{summary.highest:.0f}",
                "wins": f"{summary.wins} of {summary.episodes}",
                "mean length": f"{summary.mean_length:.0f} steps, "
                f"{sum(game.frames for game in games) / len(games):.0f} frames",
            }
        )
        return interrupt.status


def _find_checkpoint(path: Path) -> Checkpoint:
    """Load the file named, or the newest whole checkpoint of a run; say which were refused."""
    from fastpong.storage import checkpoint

    if not path.exists():
        raise checkpoint.CheckpointError(
            f"{path}: is missing; name a run's directory, or a checkpoint in its checkpoints/"
        )
    if not path.is_dir():
        return checkpoint.load(path)
    inner = path / "checkpoints"
    found, refusals = checkpoint.newest(inner if inner.is_dir() else path)
    for refusal in refusals:
        warn(f"checkpoint refused: {refusal}")
    return found


@cli.command(short_help="Draw learning curves of one or several runs.")
@click.argument("runs", nargs=-1, required=True, type=_PATH, metavar="RUN...")
@click.option("-o", "--output", required=True, type=_PATH, metavar="FILE",
              help="Picture to write: .png, .svg or .pdf.")  # fmt: skip
@click.option("--x", "axis", type=click.Choice(list(plotting.AXES)), default="steps",
              show_default=True, help="What to draw against.")  # fmt: skip
@click.option("--title", default="", help="Title of the picture.  [default: the run's name]")
def plot(runs: tuple[Path, ...], output: Path, axis: str, title: str) -> int:
    """Draw learning curves of one or several runs: run directories or metrics.csv files.

    Every episode is a dot, the line is their running mean. Needs Matplotlib:
    pip install "fastpong[plot]".
    """
    plotting.draw(runs, output, axis, title)
    say(f"wrote {output}")
    return 0


@cli.command()
def info() -> int:
    """Print versions, CPU, cores and kernels: what a bug report needs."""
    from fastpong import kernels
    from fastpong.settings.config import available_cores, default_backend
    from fastpong.storage.run import versions

    backend = default_backend()
    found = versions(backend)
    for name in ("time", "backend"):
        del found[name]
    usable = [name for name in kernels.MODULES if _loads(name)]
    table = {name: str(value) for name, value in found.items() if value is not None}
    table["cores usable"] = str(available_cores())
    table["backends"] = ", ".join(usable) + f" (default: {backend})"
    _say_table(table)
    return 0


def _loads(backend: str) -> bool:
    from fastpong import kernels

    try:
        kernels.get_backend(backend)
    except ImportError:
        return False
    return True


@cli.command(
    "import",
    cls=SettingsCommand,
    epilog="Then: fastpong eval RUN, or fastpong train --resume RUN.",
)
@click.argument("file", type=_PATH, metavar="FILE")
@click.argument("run", type=_PATH, metavar="RUN")
@click.option("--config", "config_file", type=_PATH, metavar="FILE.toml",
              help="Settings from a file; those of the command line come first.")  # fmt: skip
def import_(file: Path, run: Path, config_file: Path | None, **given: Any) -> int:
    """Make a run RUN of a reference program's model FILE.

    FILE is the NumPy program's save.p, of Python 2 or 3 (it is read as data, and nothing in it is
    executed), or weights that Keras saved, .weights.h5 or .h5. The agent and the size of its
    network are the model's.
    """
    from fastpong import agents
    from fastpong.storage.run import Run
    from fastpong.storage.weights import exchange
    from fastpong.training.trainer import TrainerState

    model = exchange.read(file)
    config = build(config_file, given, {"agent": model.agent, **model.settings})
    parameters = {name: a.astype(config.dtype) for name, a in model.parameters.items()}
    with Run.create(run, config, warn=warn) as made:
        agent = agents.create(config.agent, config.hyper, config.backend, config.dtype)
        if not made.save(TrainerState.initial(agent, parameters)):
            return 1
    name = shlex.quote(str(run))
    settings = ", ".join(f"{key} {value}" for key, value in model.settings.items())
    say(f"imported {file}, agent {model.agent} with {settings}, into {run}")
    say(f"to go on: fastpong train --resume {name}; to see it play: fastpong eval {name}")
    return 0


@cli.command(short_help="Write a run's weights for other programs.")
@click.argument("checkpoint", type=_PATH)
@click.argument("file", type=_PATH, metavar="FILE")
@click.option("--overwrite", is_flag=True, help="Replace FILE if it exists.")
def export(checkpoint: Path, file: Path, overwrite: bool) -> int:
    """Write the weights of a run for other programs.

    CHECKPOINT is a run directory, or a .json or .safetensors file of its checkpoints. A FILE
    ending in .safetensors has the arrays by their names, with the agent and its settings as
    metadata; docs/architecture.md says what they mean. One ending in .h5, of agent conv, is what
    Keras's model.load_weights takes: .weights.h5 for Keras 3, another .h5 for the older layout.
    Keras's files need h5py: pip install "fastpong[keras]".
    """
    from fastpong.settings.config import default_backend
    from fastpong.storage.weights import exchange
    from fastpong.training.evaluation import restore

    if file.exists() and not overwrite:
        raise click.UsageError(f"{file} exists; name another file, or give --overwrite")
    if not file.parent.is_dir():
        raise click.UsageError(f"{file}: expected a directory {file.parent}, found none; make it")
    found = _find_checkpoint(checkpoint)
    player, parameters = restore(found, default_backend())
    exchange.write(file, player.agent, asdict(player.hyper), parameters)
    say(f"wrote {file}: {player.agent} after {found.episode:,} episodes")
    return 0


def _say_table(table: dict[str, str]) -> None:
    width = max(len(name) for name in table)
    for name, value in table.items():
        say(f"{name:<{width}}  {value}")


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status; prints errors, raises none expected."""
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_, **__: warn(f"warning: {message}")
        # A SIGHUP to the process group ends multiprocessing's tracker, too. There is nothing that
        # it could leak: no shared memory or semaphore here has a name.
        warnings.filterwarnings("ignore", "resource_tracker: process died unexpectedly")
        return _run(arguments)


def _run(arguments: Sequence[str] | None) -> int:
    try:
        status = cli.main(arguments, prog_name="fastpong", standalone_mode=False)
        return status if isinstance(status, int) else 0
    except click.exceptions.Abort:
        return 130
    except click.exceptions.NoArgsIsHelpError as error:
        say(error.format_message(), error=True)
        return error.exit_code
    except click.ClickException as error:
        return _complain(_with_hint(error), error.exit_code)
    except Interrupted as interrupted:
        warn(f"stopped by {interrupted}; nothing was under way yet")
        return 128 + interrupted.number
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        if not _expected(error):
            raise
        return _complain(str(error) or type(error).__name__, 1)


def _with_hint(error: click.ClickException) -> str:
    context = error.ctx if isinstance(error, click.UsageError) else None
    hint = f" (see {context.command_path} --help)" if context else ""
    return error.format_message().rstrip(".") + hint


def _complain(message: str, status: int) -> int:
    say(f"fastpong: error: {message}", error=True)
    return status


def _expected(error: Exception) -> bool:
    """Return whether an error is one to do something about, and no bug of ours."""
    if _about_backend(error):  # first, for then the modules below cannot be imported
        return True
    from fastpong.runtime.pool import WorkerError
    from fastpong.storage.checkpoint import CheckpointError
    from fastpong.storage.run import RunError
    from fastpong.storage.weights.pickle import ForeignError

    known = (CheckpointError, ForeignError, WorkerError, RunError, plotting.PlotError)
    # ArithmeticError: training diverged. MemoryError: more hidden units than this machine holds.
    return isinstance(error, (*known, OSError, ArithmeticError, MemoryError))


def _about_backend(error: Exception) -> bool:
    # `kernels` raises these, one of them when it is imported with a wrong FASTPONG_BACKEND.
    return isinstance(error, (ValueError, ImportError)) and str(error).startswith("backend")
