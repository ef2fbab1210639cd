"""What a report tells: read from the run's directory, played, and filmed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fastpong.console.cartridge import EmulatorError
from fastpong.pages.html import Html
from fastpong.printable import counted
from fastpong.report.evaluated import Evaluated, evaluate_checkpoints
from fastpong.report.filmed import film
from fastpong.report.weights import UNITS
from fastpong.storage import verified
from fastpong.storage.checkpoint import CheckpointError
from fastpong.storage.evaluations import EvaluationRow, read_evaluations
from fastpong.storage.reading import Facts, read_facts
from fastpong.training.trained import read_trained
from fastpong.viewing.curves import PlotError, Record, read_record
from fastpong.viewing.shown import Shown, load_shown
from fastpong.viewing.weights import Section, read_sections
from fastpong.viewing.writers import FilmError


@dataclass(frozen=True)
class Asked:
    """Hold what a report is asked for.

    episodes : on each checkpoint, 0 for none
    seconds  : length of the film, 0 for none
    workers  : processes that play
    seed     : of the episodes
    """

    episodes: int
    seconds: float
    workers: int
    seed: int


@dataclass
class Gathered:
    """Hold what a report tells.

    record    : None before the first episode has ended
    shown     : the newest weights, None before the first checkpoint
    periodic  : evaluations while it trained
    evaluated : of each checkpoint, the oldest first, then of the best weights
    film      : its element
    weights   : images of hidden units
    notes     : sentences about what is missing, by section
    """

    facts: Facts
    record: Record | None = None
    shown: Shown | None = None
    periodic: Sequence[EvaluationRow] = ()
    evaluated: Sequence[Evaluated] = ()
    film: Html | None = None
    weights: Sequence[Section] = ()
    notes: dict[str, list[str]] = field(default_factory=dict)

    def note(self, section: str, sentence: str) -> None:
        """Add a sentence to a section."""
        self.notes.setdefault(section, []).append(sentence)


def gather(
    directory: Path, asked: Asked, stop: Callable[[], bool], tell: Callable[[str], object]
) -> Gathered:
    """Gather what a run's report tells.

    stop : whether to leave out what takes long
    tell : is told what goes on

    Raises RunError for a directory that is no run. Whatever else is missing becomes a note.
    """
    gathered = Gathered(read_facts(directory))
    _read(gathered)
    if asked.seconds and gathered.shown is not None and not stop():
        tell(f"filming {asked.seconds:g} s")
        try:
            gathered.film = film(gathered.shown, asked.seconds, stop)
        except (FilmError, EmulatorError, OSError) as error:  # OSError: an encoder's own
            gathered.note("film", f"No film: {error}")
    if asked.episodes and gathered.shown is not None:
        try:
            _play(gathered, asked, stop, tell)
        except EmulatorError as error:
            gathered.note("evaluation", f"No episodes: {error}")
    if stop():
        gathered.note("evaluation", "The command was stopped before it had played all episodes.")
    return gathered


def _read(gathered: Gathered) -> None:
    directory = gathered.facts.directory
    gathered.periodic = read_evaluations(directory)
    try:
        gathered.record = record = read_record(directory)
        if record.damaged:
            gathered.note("curves", f"metrics.csv has {len(record.damaged)} damaged lines.")
    except PlotError as error:
        gathered.note("curves", str(error))
    try:
        found, refusals = verified.newest(directory / "checkpoints")
        gathered.shown = load_shown(found)
        for refusal in refusals:
            gathered.note("evaluation", f"Checkpoint refused: {refusal}")
        gathered.weights = _weights(gathered.shown)
    except (CheckpointError, EmulatorError) as error:
        gathered.note("evaluation", str(error))


def _weights(shown: Shown) -> Sequence[Section]:
    try:
        return read_sections(read_trained(shown.found, shown.player.backend), UNITS)
    except KeyError:  # an agent that is not fastpong's own
        return ()


def _play(
    gathered: Gathered, asked: Asked, stop: Callable[[], bool], tell: Callable[[str], object]
) -> None:
    evaluated: list[Evaluated] = []
    for result in evaluate_checkpoints(
        gathered.facts.directory,
        episodes=asked.episodes,
        workers=asked.workers,
        seed=asked.seed,
        stop=stop,
    ):
        if isinstance(result, str):
            gathered.note("evaluation", f"Checkpoint refused: {result}")
            continue
        evaluated.append(result)
        after, mean = counted(result.episode, "episode"), result.summary.mean
        tell(f"{result.name}, after {after}: mean return {mean:+.2f}")
    if not (evaluated or stop() or gathered.notes.get("evaluation")):
        gathered.note("evaluation", "No checkpoint was left to play: training deletes old ones.")
    gathered.evaluated = evaluated
