"""The Q-learning agent's recipe: how it plays and learns, and from which decision on it does so."""

from __future__ import annotations

from dataclasses import dataclass, fields
from itertools import pairwise

from fastpong.agents.dqn.replay import ROUNDS
from fastpong.agents.multi_env import LaneSettings
from fastpong.agents.ppo import agent as ppo
from fastpong.envs.variants import find_variant
from fastpong.settings.fields import option


@dataclass(frozen=True, kw_only=True)
class Settings(LaneSettings):
    """The recipe; ``docs/learning.md`` says what else was tried."""

    stride: int = option(
        1,
        "2 to look at every second row and column, 1 at every one",
        minimum=1,
        maximum=2,
    )
    resolution: int = option(4, "pixels along a side of an input cell", minimum=1, maximum=10)
    levels: str = option(
        "8x8:0.35 16x16:0.35 32x32:0.35 160x4:0.35 4x40:0.35",
        "coarser cells that an input also feeds, HEIGHTxWIDTH:SCALE in pixels",
    )
    history: int = option(
        2, "differences between earlier frames that are inputs, too", minimum=0, maximum=8
    )
    last_action: bool = option(True, "the action chosen last is an input, too")
    learning_rate: float = option(5e-4, "Adam's step size at the beginning", above=0)
    final_rate: float = option(
        0.1, "the share of the learning rate that is left in the end", minimum=0, maximum=1
    )
    anneal: int = option(
        2_500_000, "decisions over which the learning rate falls, in a straight line", minimum=1
    )
    replay: int = option(
        300_000,
        "decisions that are kept, four segments of every lane or more; 375 bytes each, in memory "
        "and in checkpoints",
        minimum=1,
        maximum=1 << 22,
    )
    warmup: int = option(
        20_000, "decisions before learning begins, and begins again where play becomes finer",
        minimum=0,
    )  # fmt: skip
    reuse: float = option(8.0, "times that a decision is learned from, about", above=0)
    minibatch: int = option(512, "decisions to a step of Adam", minimum=1, maximum=1 << 13)
    gamma: float = option(0.99, "discount of rewards, per decision", minimum=0, maximum=1)
    returns: int = option(15, "decisions whose rewards are added up, n; up to a segment", minimum=1)
    target: int = option(
        100, "steps of Adam after which the network that values what follows is renewed", minimum=1
    )
    exploration: float = option(
        0.01, "share of actions that are drawn blindly", minimum=0, maximum=0.5
    )
    explore: int = option(
        100_000, "decisions over which that share falls, from 1, in a straight line", minimum=1
    )
    evaluation_exploration: float = option(
        0.001, "the same in evaluation of values that is not greedy", minimum=0, maximum=0.5
    )
    fine: str = option(
        "",
        "decisions after each of which an action is played for half as many frames, such as "
        "'400000 1500000'; empty for none",
    )
    fine_gamma: float = option(
        0.997,
        "gamma where play is finer, but not yet finest, over the time of one of the variant's "
        "decisions",
        minimum=0,
        maximum=1,
    )
    fine_returns: int = option(5, "returns where play is finer, in such times", minimum=1)
    fine_reuse: float = option(16.0, "reuse where play is finer, in such a time", above=0)
    finest_gamma: float = option(
        0.999, "the same where play is finest, after the last of the numbers in fine",
        minimum=0, maximum=1,
    )  # fmt: skip
    finest_reuse: float = option(8.0, "fine_reuse where play is finest", above=0)
    finest_learning_rate: float = option(
        1e-4, "learning rate where finest play begins; it falls anew, to the same share", above=0
    )
    finest_anneal: int = option(
        3_600_000, "decisions over which that learning rate falls, in a straight line", minimum=1
    )
    finest_exploration: float = option(
        0.004, "exploration where play is finest", minimum=0, maximum=0.5
    )
    refine: int = option(
        0,
        "decisions after which the policy is learned on by PPO, as --agent ppo does it, from the "
        "next round on, and evaluation draws from it; with lag 0, not before something is "
        "learned nor the last number in fine; 0 for never, and then the other refine settings have "
        "no effect",
        minimum=0,
    )
    refine_segment: int = option(
        256, "decisions of each lane to an update then", minimum=1, maximum=1 << 14
    )
    refine_temperature: float = option(
        0.03,
        "log odds of the policy that is begun with are the values' difference divided by this",
        minimum=1e-6,
    )
    refine_learning_rate: float = option(
        5e-5, "Adam's step size then; it falls to the share final_rate of it", above=0
    )
    refine_anneal: int = option(
        2_000_000,
        "decisions over which that rate and the entropy's weight fall, in a straight line, and in "
        "whose second half the policy is sharpened",
        minimum=1,
    )
    refine_sharpening: float = option(
        10.0,
        "what the policy's log odds are multiplied by in all, evenly on a logarithmic scale; 1 for "
        "never",
        minimum=1,
        maximum=1000,
    )
    refine_lambda: float = option(
        0.96,
        "lambda of generalised advantages then, over the time of one of the variant's decisions",
        minimum=0,
        maximum=1,
    )
    refine_epochs: int = option(3, "passes over each update's decisions then", minimum=1)
    refine_minibatch: int = option(1024, "decisions to a step of Adam then", minimum=1)
    refine_entropy: float = option(
        0.002, "weight of the policy's entropy then; a tenth in the end", minimum=0
    )
    max_norm: float = option(
        10.0,
        "longest gradient that is not cut down; where the policy is learned always 0.5",
        above=0,
    )
    beta1: float = option(0.9, "Adam's decay of gradients", minimum=0, below=1)
    beta2: float = option(0.999, "Adam's decay of squared gradients", minimum=0, below=1)
    epsilon: float = option(1e-5, "added to Adam's root", minimum=1e-12)

    def __post_init__(self) -> None:
        """Raise ValueError for the first value out of range."""
        super().__post_init__()
        longest = {"returns": self.returns}
        if self.phases:
            longest["fine_returns"] = self.fine_returns * 2 ** len(self.phases)
        for name, given in longest.items():
            if given > self.segment:
                raise ValueError(
                    f"{name}: expected at most a segment, {self.segment}, got {given} decisions"
                )
        if self.refine:
            self._check_refine()
        least = ROUNDS * self.lanes * self.segment
        if self.replay < least:
            raise ValueError(
                f"replay: expected at least {least}, {ROUNDS} segments of every lane, "
                f"got {self.replay}"
            )

    def _check_refine(self) -> None:
        if self.lag:
            raise ValueError(
                f"refine: expected lag 0 with it, got lag {self.lag}; leave one of the two out"
            )
        least, why = max(
            (max(self.phases, default=0), "the last number in fine"),
            (
                self.first_learned + 1,
                f"when something has been learned (warmup {self.warmup}, anew with fine)",
            ),
        )
        if self.refine < least:
            raise ValueError(
                f"refine: expected 0 for never, or at least {least}, {why}, got {self.refine}"
            )

    @property
    def phases(self) -> tuple[int, ...]:
        """Decisions before the frames of an action are halved, and halved again.

        Raises ValueError where ``fine`` is none such.
        """
        try:
            found = tuple(int(word) for word in self.fine.split())
        except ValueError:
            found = (0,)
        if any(a >= b for a, b in pairwise((0, *found))):
            raise ValueError(
                f"fine: expected rising numbers of decisions, as in '400000 1500000', "
                f"got {self.fine!r}"
            )
        return found

    @property
    def per_round(self) -> int:
        """Decisions of a round, a segment of every lane, that is played for values."""
        return self.lanes * self.segment

    def rounds(self, decisions: int) -> int:
        """Return how many such rounds so many decisions take."""
        return -(-decisions // self.per_round)

    def begun(self, halvings: int) -> int:
        """Return the decisions before the first round with so many halvings."""
        return self.rounds(self.phases[halvings - 1]) * self.per_round if halvings else 0

    @property
    def first_learned(self) -> int:
        """Return the decisions before the first round after which something is learned."""
        wait = max(1, self.rounds(self.warmup)) * self.per_round
        phases = [self.begun(k) for k in range(len(self.phases) + 1)]
        lasting = [a for a, b in pairwise(phases) if a + wait < b]
        return (lasting or phases[-1:])[0] + wait

    def discount(self, halvings: int) -> float:
        """Return gamma per decision where the frames of an action are halved so often."""
        if not halvings:
            return self.gamma
        finest = halvings == len(self.phases)
        return float((self.finest_gamma if finest else self.fine_gamma) ** (1 / 2**halvings))

    def sharpness(self, since: int) -> float:
        """Return by what log odds have been multiplied so many decisions after ``refine``."""
        share = min(1.0, max(0.0, 2 * since / self.refine_anneal - 1))
        return float(self.refine_sharpening**share)

    def refined(self) -> ppo.Settings:
        """Return the actor-critic agent's settings with which the policy is learned on."""
        halvings = len(self.phases)
        return ppo.Settings(
            **{f.name: getattr(self, f.name) for f in fields(LaneSettings)}
            | {"segment": self.refine_segment},
            learning_rate=self.refine_learning_rate,
            final_rate=self.final_rate,
            anneal=self.refine_anneal,
            gamma=self.discount(halvings),
            gae_lambda=self.refine_lambda ** (1 / 2**halvings),
            epochs=self.refine_epochs,
            minibatch=self.refine_minibatch,
            entropy=self.refine_entropy,
            # Written out, or a run would go on otherwise where the other agent's defaults change.
            final_entropy=0.1,
            clip=0.2,
            value_weight=0.5,
            max_norm=0.5,
            beta1=self.beta1,
            beta2=self.beta2,
            epsilon=self.epsilon,
        )

    def check_env(self, env: str) -> None:
        """Raise ValueError for an environment whose frames cannot be halved so often."""
        try:
            find_variant(env).halved(len(self.phases))
        except ValueError as error:
            raise ValueError(f"fine: {error}; take another one, or leave fine empty") from None
