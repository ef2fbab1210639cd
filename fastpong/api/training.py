"""``fastpong.train``: a training as an iterator of statistics."""

from __future__ import annotations

import signal
import threading
import warnings
import weakref
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import FrameType
from typing import Any, Self

from fastpong import recipes
from fastpong.agents import AGENTS
from fastpong.api.loading import load
from fastpong.api.policy import Policy
from fastpong.api.progress import Lines
from fastpong.api.tracking import Tracked, check_tracker
from fastpong.envs.variants import find_like
from fastpong.settings.config import Config
from fastpong.settings.tables import find_agent, override
from fastpong.storage.finding import find, run_of
from fastpong.storage.run import Run
from fastpong.storage.tracking import FAILED, FINISHED, STOPPED
from fastpong.training.beginning import find_weights, initial_weights, settings_of
from fastpong.training.goal import Counters
from fastpong.training.session import Outcome, Session
from fastpong.training.stats import EpisodeStats


def train(
    recipe: str | None = None,
    *,
    env: str | None = None,
    agent: str | None = None,
    run_dir: str | Path | None = None,
    resume: str | Path | None = None,
    progress: bool = True,
    track: str | None = None,
    **settings: Any,
) -> Training:
    """Begin a training, or go on with one.

        for stats in fastpong.train("pong"):
            print(stats.episode, stats.score)

    recipe   : named settings, by default those recommended for the agent or the environment
    env      : gymnasium's name of the environment
    agent    : karpathy, keras, ppo or dqn
    run_dir  : of the new run, by default a new one under runs/
    resume   : the directory of a run to go on with instead of a recipe
    progress : print a line every few seconds
    track    : wandb or mlflow, to send the run there, too
    settings : those of ``fastpong train --help``, with underscores. until=None: no goal.
               ``stages``, a list of tables as in a recipe, replaces those of the recipe.
               ``sticky``, gymnasium's repeat_action_probability, and ``frame_skip`` beside env
               choose the environment that is so. ``init_from``, a run, a file or pretrained
               weights, is what the run begins with. It has that agent's settings then, unless
               recipe or agent are given

    Raises ValueError for a setting out of range, RunError for a directory that cannot be used and
    a tracker that cannot begin, ImportError for one that is not installed.
    """
    if track is not None:
        check_tracker(track)
    changes = {**settings, **{k: v for k, v in (("env", env), ("agent", agent)) if v is not None}}
    if "sticky" in changes or (env is not None and "frame_skip" in changes):
        asked = changes.pop("frame_skip", None), changes.pop("sticky", None)
        env = changes["env"] = _named(env, *asked)
    if resume is not None:
        for name, value in (("recipe", recipe), ("run_dir", run_dir), ("agent", agent)):
            if value is not None:
                raise ValueError(
                    f"{name}: expected none beside resume, got {value!r}; a resumed run has its own"
                )
        run = Run.resume(run_of(Path(resume)), overrides=changes, warn=_warn)
        return Training(run, progress=progress, track=track)
    config = _new_config(recipe, env, agent, changes)
    return Training(Run.create(run_dir, config, warn=_warn), progress=progress, track=track)


def _new_config(
    recipe: str | None, env: str | None, agent: str | None, changes: Mapping[str, object]
) -> Config:
    """Return the settings of a new run, whose initial weights fit."""
    source = changes.get("init_from")
    if source is None:
        return Config.build(override(_base(recipe, env, agent), changes))
    own = recipe is None and agent is None
    base = settings_of(find_weights(str(source))) if own else _base(recipe, env, agent)
    config = Config.build(override(base, {**changes, "init_from": str(source)}))
    initial_weights(config)  # an error comes before a directory is made
    for refusal in find(Path(str(source)))[1]:
        _warn(f"checkpoint refused: {refusal}")
    return config


def _named(env: str | None, frame_skip: int | None, sticky: float | None) -> str:
    """Return the name of the environment with this frame skip and stickiness."""
    if env is None:
        raise ValueError(f"sticky: expected env beside it, got none with {sticky!r}; name it")
    return find_like(env, frame_skip, sticky).name


def _base(recipe: str | None, env: str | None, agent: str | None) -> Mapping[str, object]:
    """Return the values that the settings override."""
    if recipe in AGENTS and recipe not in recipes.RECIPES:
        raise ValueError(f"recipe: expected a recipe, got the agent {recipe!r}; give agent instead")
    if recipe is not None:
        return recipes.load(recipe).values
    if agent in recipes.RECIPES and agent not in AGENTS:
        raise ValueError(f"agent: expected an agent, got the recipe {agent!r}; give recipe instead")
    if agent is not None:
        name = find_agent(agent)
        known = (recipes.load(each) for each in recipes.RECIPES)
        return next((each.values for each in known if each.agent == name), {"agent": name})
    found = recipes.for_env(env) if env is not None else None
    return (found or recipes.load(recipes.DEFAULT)).values


class Training:
    """A training that is under way, an iterator of ``EpisodeStats``.

    Each step of the iterator trains up to the end of the next episode. ``close`` saves a
    checkpoint and ends the workers, and so do the end of a ``with`` block, Ctrl-C and a notebook's
    interrupt.

    run_dir : of the run, with its checkpoints and logs
    config  : the settings
    outcome : how it ended, None before
    """

    def __init__(self, run: Run, *, progress: bool = True, track: str | None = None) -> None:
        self.run_dir, self.config = run.directory, run.config
        self.outcome: Outcome | None = None
        self._interrupt = _Interrupt()
        with ExitStack() as stack:
            stack.enter_context(run)
            session = stack.enter_context(Session(run.config))
            self._tracked = None
            if track is not None:
                session.save_first(run)  # the run can be resumed if the tracker cannot begin
                self._tracked = stack.enter_context(Tracked(run, track))
            self._lines = Lines(run.config, run.directory) if progress else None
            begin = self._lines.begin if self._lines else _ignore
            self._episodes = session.episodes(run, begin=begin, stop=self._interrupt)
            stack.callback(self._episodes.close)
            # Also where it was never closed: at its end, or that of the interpreter.
            self.close = weakref.finalize(self, stack.pop_all().close)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> EpisodeStats:
        """Train up to the end of the next episode.

        Raises KeyboardInterrupt once a Ctrl-C has been obeyed, WorkerError where workers fail,
        RuntimeError after ``close``.
        """
        if self.outcome is None and not self.close.alive:
            raise RuntimeError(
                f"this training is closed; fastpong.train(resume={str(self.run_dir)!r}) goes on "
                f"with it"
            )
        try:
            with self._interrupt:
                stats = next(self._episodes)
        except StopIteration as end:
            self.outcome = end.value or self.outcome
            if self._lines and end.value:
                self._lines.end(end.value)
            self._end(FINISHED if end.value and end.value.finished else STOPPED)
            raise
        except BaseException as error:
            self._end(FAILED if isinstance(error, Exception) else STOPPED)
            raise
        if self._lines:
            self._lines.update(stats)
        return stats

    def _end(self, status: str) -> None:
        """Close, with the status that a tracker is told."""
        if self._tracked is not None:
            self._tracked.status = status
        self.close()

    def run(self) -> Outcome:
        """Train to the end, and return how it ended."""
        for _ in self:
            pass
        assert self.outcome is not None  # or it has raised
        return self.outcome

    def policy(self, **options: Any) -> Policy:
        """Load the run's newest checkpoint, as ``fastpong.load`` does."""
        return load(self.run_dir, **options)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Interrupt:
    """Defer Ctrl-C while the trainer works, so that it ends between two updates."""

    def __init__(self) -> None:
        self._asked = self._mine = False

    def __call__(self) -> bool:
        return self._asked

    def __enter__(self) -> None:
        here = threading.current_thread() is threading.main_thread()
        # Whoever has a handler of their own is left alone.
        self._mine = here and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        if self._mine:
            signal.signal(signal.SIGINT, self._ask)

    def __exit__(self, *_: object) -> None:
        if self._mine:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        if self._asked:
            raise KeyboardInterrupt

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self._asked:  # the second one does not wait
            signal.default_int_handler(number, frame)
        self._asked = True


def _ignore(counters: Counters) -> None:
    pass


def _warn(message: str) -> None:
    warnings.warn(message, stacklevel=2)
