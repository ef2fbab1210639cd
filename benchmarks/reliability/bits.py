"""Every bit of a checkpoint flipped: none is loaded, and the run goes on from the one before.

The real loader reads every damaged file. The real command meets a sample of them. What it then ends
with is, byte for byte, what an undamaged run ends with.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field
from io import RawIOBase
from pathlib import Path

from reliability.kills import undisturbed
from reliability.processes import started
from reliability.trainings import AGENTS, Training, end_of

from fastpong.storage import checkpoint
from fastpong.storage.checkpoint import CheckpointError

NEWEST_EVERY = 64
"""Of so many flips one is also met by the search for the newest whole checkpoint."""


@dataclass
class Flips:
    """What came of flipped bits.

    refused  : flips that were refused with a message
    passed   : flips after which the search returned the checkpoint before
    commands : flips that a command met, went on from the checkpoint before and ended as it should
    faults   : what went wrong
    """

    refused: int = 0
    passed: int = 0
    commands: int = 0
    faults: list[str] = field(default_factory=list)


SMALLEST = Training("karpathy", "console", options=("--hidden", "1"))
"""Its checkpoint is the smallest that there is."""


def make_run(training: Training, home: Path) -> Path:
    """Train briefly, and return the run."""
    undisturbed(training, home)
    return home / "run"


def files_of(run: Path) -> tuple[Path, Path]:
    """Return the manifest and the data file of the newest checkpoint."""
    found = checkpoint.newest(run / "checkpoints")[0]
    return found.path, found.path.with_name(found.manifest["data"]["file"])


def count_bits(run: Path) -> int:
    """Return the bits of the newest checkpoint."""
    return sum(8 * path.stat().st_size for path in files_of(run))


def flip_bits(run: Path, wanted: Iterable[int], found: Flips) -> None:
    """Flip one bit after the other, counted over manifest and data, and load."""
    manifest, data = files_of(run)
    size = 8 * manifest.stat().st_size
    older = sorted(run.glob("checkpoints/*.json"))[-2]
    for bit in wanted:
        path, place = (manifest, bit) if bit < size else (data, bit - size)
        with path.open("r+b", buffering=0) as file:
            _flip(file, place)
            try:
                _meet(manifest, older, bit, found)
            finally:
                _flip(file, place)


def _flip(file: RawIOBase, bit: int) -> None:
    file.seek(bit // 8)
    byte = file.read(1)[0]
    file.seek(bit // 8)
    file.write(bytes([byte ^ 1 << bit % 8]))


def _meet(manifest: Path, older: Path, bit: int, found: Flips) -> None:
    """Load what is damaged, and now and then what is newest."""
    try:
        checkpoint.load(manifest)
    except CheckpointError:
        found.refused += 1
    except Exception as error:
        found.faults.append(f"bit {bit} of {manifest}: {error!r}")
    else:
        found.faults.append(f"bit {bit} of {manifest}: it was loaded")
    if bit % NEWEST_EVERY == 0:
        try:
            newest, refusals = checkpoint.newest(manifest.parent)
        except Exception as error:
            found.faults.append(f"bit {bit} of {manifest}: the newest: {error!r}")
            return
        if newest.path == older and len(refusals) == 1:
            found.passed += 1
        else:
            found.faults.append(f"bit {bit} of {manifest}: newest {newest.path}, {refusals}")


def flip_for_commands(directory: Path, count: int, seed: int, found: Flips) -> None:
    """Let ``fastpong train --resume`` meet a flipped bit of each agent's newest checkpoint."""
    for number in range(count):
        agent = AGENTS[(seed + number) % len(AGENTS)]
        whole = directory / f"whole-{agent}"
        if not whole.exists():
            make_run(Training(agent, "console"), whole)
        home = directory / f"flipped-{number}"
        shutil.copytree(whole, home)
        bit = random.Random(f"{seed}/{number}").randrange(count_bits(home / "run"))
        if fault := _resume_damaged(agent, home, whole, bit):
            found.faults.append(f"{agent}, bit {bit}: {fault}")
        else:
            found.commands += 1
            shutil.rmtree(home)


def _resume_damaged(agent: str, home: Path, whole: Path, bit: int) -> str | None:
    """Return what is wrong with how a run with a flipped bit goes on."""
    manifest, data = files_of(home / "run")
    size = 8 * manifest.stat().st_size
    with (manifest if bit < size else data).open("r+b", buffering=0) as file:
        _flip(file, bit if bit < size else bit - size)
    with started(Training(agent, "console").resume(), home, f"{home}") as it:
        status = it.status()
    if status != 0 or it.errors.count("\n") != 1 or "checkpoint refused: " not in it.errors:
        return f"status {status}\n{it.printed[-2000:]}"
    return None if end_of(home / "run") == end_of(whole / "run") else "it ended elsewhere"
