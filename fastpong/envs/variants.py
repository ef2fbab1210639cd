"""The environments: a game with its frame skip and its sticky actions, by gymnasium's names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any

from fastpong.envs.games import PONG, GameSpec
from fastpong.printable import brief, shorten


@dataclass(frozen=True)
class Variant:
    """Describe a game and its randomness, under gymnasium's name.

    game       : the game's facts
    frameskip  : the numbers of frames one action may be played for, each as likely
    sticky     : probability, per frame, that the action played last is played again instead
    max_frames : frames after which an episode is truncated
    """

    name: str
    game: GameSpec = PONG
    frameskip: tuple[int, ...] = (1,)
    sticky: float = 0.0
    max_frames: int = 108_000

    def __post_init__(self) -> None:
        """Raise ValueError for a variant that cannot be played."""
        if not self.frameskip or min(self.frameskip) < 1:
            raise ValueError(
                f"frameskip: expected at least one number of frames, each 1 or more, "
                f"got {self.frameskip!r}"
            )
        if not 0.0 <= self.sticky <= 1.0:
            raise ValueError(f"sticky: expected a probability in [0, 1], got {self.sticky!r}")
        if self.max_frames < 1:
            raise ValueError(f"max_frames: expected 1 or more, got {self.max_frames!r}")

    @property
    def gymnasium_kwargs(self) -> dict[str, Any]:
        """Return the arguments of ``gymnasium.make`` for this environment, ``id`` first."""
        skips = self.frameskip
        skip = skips[0] if len(skips) == 1 else (min(skips), max(skips) + 1)
        id = f"ALE/{self.game.rom.title()}-v5"
        return {"id": id, "frameskip": skip, "repeat_action_probability": self.sticky}

    @property
    def gymnasium_make(self) -> str:
        """Return the call that makes this environment in gymnasium."""
        arguments = (
            repr(value) if name == "id" else f"{name}={value}"
            for name, value in self.gymnasium_kwargs.items()
        )
        return f"gymnasium.make({', '.join(arguments)})"

    @property
    def explained(self) -> str:
        """Return the name with its meaning in gymnasium."""
        return f"{self.name} is fastpong's name of {self.gymnasium_make}"

    def with_frame_skip(self, frames: int) -> Variant:
        """Return the variant with another frame skip.

        Raises ValueError unless the frame skip is fixed and a multiple of ``frames``.
        """
        if self.frameskip == (frames,):
            return self
        if len(self.frameskip) > 1 or frames < 1 or self.frameskip[0] % frames:
            fixed = ", ".join(map(str, self.frameskip))
            raise ValueError(
                f"frame_skip: expected an environment that plays an action for a multiple of "
                f"{frames} frames, got {self.name}, which plays it for {fixed}"
            )
        return replace(self, frameskip=(frames,))

    def differences(self, frameskip: tuple[int, ...] | None, sticky: float | None) -> list[str]:
        """Describe how an environment differs from this one, which an agent was trained in.

        None: it does not say.
        """
        sentences = []
        if frameskip not in (None, self.frameskip):
            sentences.append(
                f"frameskip is {' or '.join(map(str, frameskip or ()))}, the agent was trained "
                f"with {' or '.join(map(str, self.frameskip))}"
            )
        if sticky not in (None, self.sticky):
            sentences.append(
                f"repeat_action_probability is {sticky:g}, the agent was trained with "
                f"{self.sticky:g}"
            )
        return sentences

    def warning(self, sentences: Sequence[str]) -> str:
        """Return a warning of the differences to this one, which an agent was trained in."""
        return (
            f"{'; '.join(sentences)}; the agent plays worse there than {self.gymnasium_make} "
            "would show"
        )


VARIANTS: dict[str, Variant] = {
    variant.name: variant
    for variant in (
        Variant("Pong-v0", PONG, frameskip=(2, 3, 4), sticky=0.25),
        Variant("Pong-v4", PONG, frameskip=(2, 3, 4)),
        Variant("PongNoFrameskip-v4", PONG, frameskip=(1,)),
        # The only name that gymnasium does not know any more: ale-py 0.11 registers the others.
        Variant("PongDeterministic-v4", PONG, frameskip=(4,)),
        Variant("ALE/Pong-v5", PONG, frameskip=(4,), sticky=0.25),
    )
}


def find_variant(name: str) -> Variant:
    """Return the variant of that name.

    Raises ValueError with the known names for any other.
    """
    if name in VARIANTS:
        return VARIANTS[name]
    near = get_close_matches(shorten(name), VARIANTS, n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]}?" if near else ""
    known = ", ".join(VARIANTS)
    raise ValueError(f"unknown environment {brief(name)}: expected one of {known}.{hint}")


def find_like(name: str, frame_skip: int | None = None, sticky: float | None = None) -> Variant:
    """Return the variant of a game with another frame skip or another stickiness.

    frame_skip : frames that an action is played for. None for that of ``name``
    sticky     : gymnasium's repeat_action_probability. None for that of ``name``

    Raises ValueError where no variant is so.
    """
    base = find_variant(name)
    skips = base.frameskip if frame_skip is None else (frame_skip,)
    repeated = base.sticky if sticky is None else sticky
    same_game = [variant for variant in VARIANTS.values() if variant.game is base.game]
    for variant in same_game:
        if (variant.frameskip, variant.sticky) == (skips, repeated):
            return variant
    known = ", ".join(f"{_listed(v.frameskip)} and {v.sticky:g} ({v.name})" for v in same_game)
    raise ValueError(
        f"env: expected a frame skip and a sticky probability of one of these, {known}, got "
        f"{_listed(skips)} and {repeated:g}; stages of a recipe may lower the frame skip"
    )


def _listed(frameskip: tuple[int, ...]) -> str:
    return "/".join(map(str, frameskip))
