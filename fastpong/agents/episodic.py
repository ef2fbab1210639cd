"""What the agents share whose task is one episode, which stands alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray


class EpisodeTasks:
    """The part of an ``Agent`` that is the same wherever task n is episode n."""

    chained = False
    threads = 1
    hyper: Any

    def final_parameters(
        self, parameters: Mapping[str, NDArray[Any]], state: Mapping[str, NDArray[Any]]
    ) -> Mapping[str, NDArray[Any]]:
        """Return the newest."""
        return parameters

    def settled(self, state: Mapping[str, NDArray[Any]]) -> Any:
        """Return its settings: it plays as it did from the first episode on."""
        return self.hyper

    def verify(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Do nothing: the state is numbers that lead nowhere."""

    def payload(self, number: int, before: Any, state: Mapping[str, NDArray[Any]]) -> None:
        """Return None: the number says it all."""
