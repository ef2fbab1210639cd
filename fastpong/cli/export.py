"""The command ``fastpong export``: a run's weights for other programs."""

from __future__ import annotations

from pathlib import Path

import click

from fastpong.cli.checkpoints import PATH, find_checkpoint
from fastpong.cli.display import announce
from fastpong.printable import counted


@click.command(short_help="Write a run's weights for other programs.")
@click.argument("checkpoint", type=PATH)
@click.argument("file", type=PATH, metavar="FILE")
@click.option("--overwrite", is_flag=True, help="Replace FILE if it exists.")
def export(checkpoint: Path, file: Path, overwrite: bool) -> int:
    """Write the weights of a run for other programs.

    CHECKPOINT is a run directory, or a .json or .safetensors file of its checkpoints. A FILE
    ending in .safetensors has the arrays by their names, with the agent and its settings as
    metadata. docs/design/exported-weights.md explains them, and fastpong eval plays them. One
    ending in .onnx is a model from screens to an action. One ending in .h5, of agent keras, is for
    Keras's model.load_weights: .weights.h5 for Keras 3, another .h5 for the older layout. ONNX
    models need onnx and Keras's files h5py: pip install onnx h5py.
    """
    from fastpong.settings.config import default_backend
    from fastpong.settings.fields import plain_values
    from fastpong.storage.files import check_output
    from fastpong.storage.weights import exchange
    from fastpong.training.trained import read_trained

    if file.is_file() and not overwrite:
        raise click.UsageError(f"{file} exists; name another file, or give --overwrite")
    check_output(file)
    found = find_checkpoint(checkpoint)
    trained = read_trained(found, default_backend())
    stage = trained.config.stages[trained.stage]
    settings = plain_values(stage.settings)
    exchange.write(file, stage.agent, settings, trained.parameters, trained.about())
    announce(f"wrote {file}: {stage.agent} after {counted(trained.episode, 'episode')}")
    return 0
