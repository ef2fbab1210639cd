"""Playing from screens that others provide: one environment, step by step."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fastpong.acting.playing import NO_ACTION, Policy
from fastpong.envs.draws import Draw


class ScreenPlayer:
    """Choose actions in one environment from its screens.

    It keeps what the policy sees of the past: a ring of screens, and the last action.

    screens         : (K, height, width) uint8, the ring that both policies read
    sampled, greedy : the policies, bound to one set of buffers
    moves           : ALE's numbers of the policies' actions 0, 1, ...
    first, end      : after step 0 the buffers' steps from ``first`` to ``end`` - 1 take turns. K
                      divides their number
    """

    def __init__(
        self,
        screens: npt.NDArray[np.uint8],
        sampled: Policy,
        greedy: Policy,
        moves: tuple[int, ...],
        first: int,
        end: int,
    ) -> None:
        self._screens, self._policies = screens, (sampled, greedy)
        self.moves = moves
        self._first, self._end = first, end
        self.begin()

    def begin(self) -> None:
        """Forget the episode before."""
        self._t, self.last_action = 0, NO_ACTION

    def act(self, screen: npt.NDArray[np.uint8], draw: Draw, *, greedy: bool = False) -> int:
        """Return the action for the next screen of the episode.

        The first screen also stands for those before it.

        screen : (height, width) uint8
        draw   : of the policy's uniforms, one for a step, none where the policy draws none
        """
        policy, t, fresh = self._policies[greedy], self._t, self.last_action == NO_ACTION
        self._screens[... if fresh else t % len(self._screens)] = screen
        uniform = policy.explored(0.5 if policy.greedy else draw())
        rest = (fresh, self.last_action) if policy.history else ()
        self.last_action = policy.step(t, uniform, *rest)
        self._t = self._first if t + 1 == self._end else t + 1
        return self.last_action
