"""Types of ``uniforms.pyx``."""

from numpy.random import BitGenerator

class Uniforms:
    def __init__(self, generator: BitGenerator) -> None: ...
    def __call__(self) -> float: ...
