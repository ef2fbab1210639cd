"""The seeds of a sweep on the command line: ``--seeds 1 2 3``, ``1,2,3`` or ``1-3``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import click

MOST = 1000
_SEEDS = re.compile(r"(\d+)(?:-(\d+))?", re.ASCII)


class Seeds(click.ParamType):  # type: ignore[type-arg]
    """Describe several seeds, each once."""

    name = "seeds"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        """Return the seeds. click.BadParameter says what is wrong with them."""
        seeds: list[int] = []
        for word in re.split(r"[,\s]+", str(value).strip(", ")):
            match = _SEEDS.fullmatch(word)
            if match is None:
                self.fail(f"expected seeds as 1 2 3, 1,2,3 or 1-3, got {value!r}", param, ctx)
            first, last = int(match[1]), int(match[2] or match[1])
            if not 0 <= last - first < MOST or len(seeds) >= MOST:
                self.fail(f"expected at most {MOST} seeds, upwards, got {word!r}", param, ctx)
            seeds += range(first, last + 1)
        if twice := sorted({seed for seed in seeds if seeds.count(seed) > 1}):
            self.fail(f"expected every seed once, got {twice[0]} several times", param, ctx)
        return tuple(seeds)


def joined(args: Sequence[str]) -> list[str]:
    """Return the arguments with all seeds in one word, for click."""
    found: list[str] = []
    seeds: list[str] | None = None
    for arg in args:
        if seeds is not None and not arg.startswith("-"):
            seeds.append(arg)
            continue
        if seeds:
            found.append(",".join(seeds))
        seeds = [] if arg == "--seeds" else None
        found.append(arg)
    return [*found, ",".join(seeds)] if seeds else found


def check_alone(given: Mapping[str, object], resume: object) -> None:
    """Refuse options that a sweep cannot have.

    Raises click.UsageError.
    """
    if resume is not None:
        raise click.UsageError("--seeds: expected none beside --resume, a sweep has its own")
    if given.get("seed") is not None:
        raise click.UsageError("--seed and --seeds: expected one of them")


def refuse_watch(watch: bool) -> None:
    """Refuse to watch a sweep.

    Raises click.UsageError.
    """
    if watch:
        raise click.UsageError("--watch: expected one run to watch, got a sweep; leave it out")
