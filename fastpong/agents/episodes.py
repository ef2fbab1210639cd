"""What the agents share whose task is one episode, which stands alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray


class EpisodeTasks:
    """The part of an ``Agent`` that is the same wherever task n is episode n."""

    chained = False
    threads = 1

    def payload(self, number: int, before: Any, state: Mapping[str, NDArray[Any]]) -> None:
        """Return None: the number says it all."""
