"""Types of ``loop.pyx``."""

from numpy import float32, uint8
from numpy.typing import NDArray

from fastpong.console.machine import Machine
from fastpong.envs.uniforms import Uniforms

class ConsoleLoop:
    last_action: int
    executed: int
    waiting: float

    def __init__(
        self,
        machine: Machine,
        screens: NDArray[uint8],
        rewards: NDArray[float32],
        moves: tuple[int, ...],
        frameskip: tuple[int, ...],
        sticky: float,
    ) -> None: ...
    def play(
        self, step: object, draw: Uniforms, t: int, end: int, epsilon: float, greedy: bool
    ) -> int: ...
