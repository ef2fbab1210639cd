"""Names on the command line, and answers to wrong ones: the nearest, or the option they are for."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from importlib import import_module
from pathlib import Path

import click
from click.shell_completion import CompletionItem

_KINDS = {
    "--recipe": ("a recipe", "fastpong.recipes", "RECIPES"),
    "--agent": ("an agent", "fastpong.agents", "AGENTS"),
    "--env": ("an environment", "fastpong.envs.variants", "VARIANTS"),
}
"""Options with names, of what kind, and the table of these."""


class Listed(click.Choice):  # type: ignore[type-arg]
    """Describe one of some names, with an answer to others."""

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name. click.BadParameter lists those there are, and says what to do."""
        try:
            found: str = super().convert(value, param, ctx)
        except click.BadParameter as error:
            flags = () if ctx is None else [f for p in ctx.command.get_params(ctx) for f in p.opts]
            hint = kind_of(str(value), flags) or nearest(str(value), self.choices)
            message = error.message.rstrip(".") + (f"; {hint}" if hint else "")
            raise click.BadParameter(message, ctx, param) from None
        return found


class Names(click.ParamType):  # type: ignore[type-arg]
    """Describe one of the names in a module's table.

    The module is imported when needed.
    """

    name = "name"

    def __init__(self, module: str, table: str, aliases: str | None = None) -> None:
        self._module, self._table, self._aliases = module, table, aliases

    def _choice(self) -> Listed:
        return Listed(_table(self._module, self._table))

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name. click.BadParameter lists those there are."""
        if self._aliases is not None:
            aliases: Mapping[str, str] = getattr(import_module(self._module), self._aliases)
            value = aliases.get(value, value)
        return self._choice().convert(value, param, ctx)

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str | None:
        """Return the word for a value in the help."""
        return "NAME"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Complete a name."""
        return self._choice().shell_complete(ctx, param, incomplete)


def stray(word: str) -> str:
    """Return the message for a word that stands without an option."""
    path, hint = Path(word), kind_of(word, _KINDS)
    if hint is None and (path.is_dir() or path.suffix == ".json"):
        hint = f"to go on with a run: --resume {word}"
    elif hint is None and path.suffix == ".safetensors":
        hint = f"to begin a run with these weights: --init-from {word}"
    elif hint is None and path.suffix == ".toml":
        hint = f"for settings of a file: --config {word}"
    near = nearest(word, _table(*_KINDS["--recipe"][1:]), "--recipe ")
    hint = hint or near or "a recipe stands after --recipe, as in --recipe pong"
    return f"expected options alone, got the word {word!r}; {hint}"


def kind_of(word: str, flags: Collection[str]) -> str | None:
    """Explain that a word is the name of something, for another option. None: it is not.

    flags : options that there are
    """
    for flag, (kind, *table) in _KINDS.items():
        if flag in flags and word in _table(*table):
            return f"{word} is {kind}: {flag} {word}"
    return None


def nearest(word: str, names: Collection[str], flag: str = "") -> str | None:
    """Ask whether the nearest name was meant. None: none is near."""
    lower = {name.lower(): name for name in names}
    near = difflib.get_close_matches(word.lower(), lower, n=1, cutoff=0.5)
    return f"did you mean {flag}{lower[near[0]]}?" if near else None


def _table(module: str, table: str) -> list[str]:
    return list(getattr(import_module(module), table))
