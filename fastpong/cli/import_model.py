"""The command ``fastpong import``: a run from a reference program's model."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from fastpong.cli.checkpoints import PATH
from fastpong.cli.choice import choose
from fastpong.cli.display import announce, warn
from fastpong.cli.options import SettingsCommand


@click.command(
    "import",
    cls=SettingsCommand,
    short_help="Make a run of a reference program's model.",
    epilog="Then: fastpong eval RUN, or fastpong train --resume RUN.",
)
@click.argument("file", type=PATH, metavar="FILE")
@click.argument("run", type=PATH, metavar="RUN")
@click.option("--config", "config_file", type=PATH, metavar="FILE.toml",
              help="Settings from a file; options override them.")  # fmt: skip
def import_model(
    file: Path, run: Path, config_file: Path | None, **given: str | bool | None
) -> int:
    """Make a run of a reference program's model.

    FILE is the NumPy program's save.p, of Python 2 or 3 (it is read as data, and nothing in it is
    executed), its arrays in an .npz, or what Keras saved, weights or a whole model: .weights.h5,
    .h5 or .keras. It may be in a .gz. The agent and the size of its network are the model's.
    """
    from fastpong.agents import make_plan
    from fastpong.storage.run import Run
    from fastpong.storage.weights import exchange
    from fastpong.storage.weights.pickle import ForeignError
    from fastpong.training.beginning import cast
    from fastpong.training.state import TrainerState

    if given.get("init_from") is not None:
        raise click.UsageError("--init-from: expected none, the weights are those of FILE")
    model = exchange.read(file)
    config = choose(None, config_file, given, {"agent": model.agent, **model.settings}).config
    try:
        parameters = cast(model.parameters, config.dtype)
    except ValueError as error:
        raise ForeignError(f"{file}: {error} in {config.dtype}; take another file") from error
    with Run.create(run, config, warn=warn) as made:
        plan = make_plan(config.env, config.stages, config.backend, config.dtype)
        if not made.save(TrainerState.initial(plan, parameters)):
            return 1
    name = shlex.quote(str(run))
    settings = ", ".join(f"{key} {value}" for key, value in model.settings.items())
    announce(f"imported {file}, agent {model.agent} with {settings}, into {run}")
    announce(f"to go on: fastpong train --resume {name}; to see it play: fastpong eval {name}")
    return 0
