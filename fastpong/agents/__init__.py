"""The agents: one file each, and this register of them.

An agent is mathematics only: it knows neither processes nor files nor screens. Registering a
class in ``AGENTS`` is all that the pool, the trainer, the run directory and the command line need.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from numpy.typing import DTypeLike, NDArray

from fastpong import kernels
from fastpong.agents.dqn.agent import DeepQ
from fastpong.agents.karpathy import PolicyGradient
from fastpong.agents.keras_conv import ConvolutionalAgent
from fastpong.agents.ppo.agent import ActorCritic

Arrays = Mapping[str, NDArray[Any]]


class Game(Protocol):
    """An episode that ended, as far as the trainer reads it."""

    @property
    def score(self) -> float:
        """Points won minus points lost."""

    @property
    def length(self) -> int:
        """Its steps, decisions of the agent."""

    @property
    def frames(self) -> int:
        """Its emulated frames."""


class Result(Protocol):
    """What one task gives, as far as the trainer reads it; the rest is between agent and agent."""

    frames: int

    @property
    def length(self) -> int:
        """Steps of the task, decisions of the agent."""

    @property
    def games(self) -> Sequence[Game]:
        """The episodes that ended in the task, in order; none, one or several."""


class Agent(Protocol):
    """What the trainer asks of an agent.

    Task n is a pure function of (seed, stream, n, parameters, payload), so it can be played by any
    worker and played again. Update u is made from the tasks [u B, (u + 1) B), B = ``batch_size``,
    played with the parameters of version max(0, u - ``lag``). Where the agent is ``chained`` task n
    goes on from where task n - B ended, and batches are taken in as a whole; see ``trainer``.

    Its class has ``Hyperparameters``, a dataclass of options, and may have ``defaults`` of its own
    for settings that all agents share.

    threads : cores that ``update`` may use; nothing that it computes depends on them
    """

    shapes: Mapping[str, tuple[int, ...]]
    batch_size: int
    lag: int
    chained: bool
    threads: int

    def initial_parameters(self, seed: int) -> dict[str, NDArray[Any]]:
        """Return the parameters of version 0, by name, as ``shapes`` says."""

    def initial_state(self) -> dict[str, NDArray[Any]]:
        """Return all else that learning carries from task to task and a resumed run needs."""

    def verify(self, state: Arrays) -> None:
        """Raise ValueError where a state of the right shapes, from a file, cannot be trusted."""

    def player(self, env: str, seed: int, stream: int, greedy: bool) -> Callable[..., Any]:
        """Return ``play(number, parameters) -> Result``; called once, in the worker.

        A task that has a payload is played by ``play(number, parameters, payload)``. Without one
        it is an episode, and the result is a ``Game`` too: so agents are evaluated.
        """

    def payload(self, number: int, before: Any, state: Arrays) -> Any:
        """Return the plain data that task ``number`` needs besides its weights, or None.

        before : for a chained agent the result of task number - B, if that is not taken in yet;
                 else None, and ``state`` is as after it
        """

    def add(
        self, result: Any, parameters: Arrays, state: dict[str, NDArray[Any]]
    ) -> dict[str, float]:
        """Add one task to the coming update; ``parameters`` are those that it was played with.

        Called in the order of the task numbers, for a chained agent with nothing but the other
        tasks of the batch and ``update`` in between. Returns diagnostics to be logged.
        """

    def update(
        self, parameters: dict[str, NDArray[Any]], state: dict[str, NDArray[Any]]
    ) -> dict[str, float]:
        """Apply the update to the newest parameters, in place; return diagnostics."""

    def settled(self, state: Arrays) -> Any:
        """Return the ``Hyperparameters`` with which whole games are played at this stage."""

    def final_parameters(self, parameters: Arrays, state: Arrays) -> Arrays:
        """Return those that the agent is evaluated and exported with, from the newest ones."""


PRELOAD = (__name__, "ale_py")
"""Modules that every player imports; a fork server does it once for all workers."""

AGENTS: dict[str, type[Any]] = {
    "pg": PolicyGradient,
    "conv": ConvolutionalAgent,
    "ppo": ActorCritic,
    "dqn": DeepQ,
}


def create(name: str, hyper: Any, backend: str, dtype: DTypeLike) -> Agent:
    """Return the agent of that name; ValueError lists the names there are."""
    if name not in AGENTS:
        raise ValueError(f"agent: expected one of {', '.join(AGENTS)}, got {name!r}")
    chosen = kernels.get_backend(backend)
    agent: Agent = AGENTS[name](hyper, chosen, dtype)
    return agent


def make_player(
    name: str, hyper: Any, backend: str, dtype: str, env: str, seed: int, stream: int, greedy: bool
) -> Callable[[Any, Arrays], Any]:
    """Return ``play(task, parameters)`` for a worker, from arguments that travel as plain data."""
    play = create(name, hyper, backend, dtype).player(env, seed, stream, greedy)

    def answer(task: Any, parameters: Arrays) -> Any:
        payload = () if task.payload is None else (task.payload,)
        return play(task.number, parameters, *payload)

    return answer
