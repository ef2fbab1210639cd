"""Command-line options made from the settings' own declarations.

Every field of ``Config`` and of every registered agent's ``Settings`` becomes an option with the
field's help line, default and range. A new agent adds its options by its registration. The values
given are text until it is known which agent they are for. Then the field's own check converts them.

The help shows the main options, and all settings of an agent that is named beside ``--help``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import click

from fastpong.cli.names import Listed, stray
from fastpong.cli.seeds import joined
from fastpong.settings.words import answer

if TYPE_CHECKING:
    from fastpong.settings.fields import Field, Value

MAIN = (
    "recipe", "agent", "env", "workers", "pool", "episodes", "total_timesteps", "until",
    "eval_every", "seed", "seeds", "config_file", "run_dir", "resume", "init_from", "progress",
    "watch", "track",
)  # fmt: skip
"""Options of the short help, in this order."""

MORE = ("frame_skip", "sticky")
"""Options of the whole help that are no settings."""

NEVER = ("never", "none")
"""Words for a setting that is not limited."""

_AGENT = "fastpong.agent"


def flag(name: str) -> str:
    """Return the option's spelling on the command line."""
    return "--" + name.replace("_", "-")


def as_option(error: ValueError) -> str:
    """Return an error's message with the setting as an option, in ``--env: expected ...``."""
    name, colon, rest = str(error).partition(":")
    return flag(name) + colon + rest if colon and name.isidentifier() else str(error)


class Setting(click.Option):
    """Describe one setting's option, for all its agents.

    owners : the setting's field for each agent, or for "" if all share it
    """

    def __init__(self, name: str, owners: Mapping[str, Field]) -> None:
        from fastpong.settings.schedules import Schedule

        self.owners = owners
        field = next(iter(owners.values()))
        if field.kind is bool:
            super().__init__([f"{flag(name)}/{flag('no_' + name)}", name], default=None)
        elif field.choices is not None:
            kind = Listed(list(field.choices))
            super().__init__([flag(name), name], type=kind, metavar="NAME")
        else:
            names = {int: "INTEGER", float: "NUMBER", Schedule: "NUMBER", str: "TEXT"}
            super().__init__([flag(name), name], metavar=names[field.kind])

    def record(self, ctx: click.Context, agent: str | None) -> tuple[str, str]:
        """Return the help's two columns, perhaps of an agent."""
        found = self.get_help_record(ctx)
        assert found is not None
        field = self.owners.get(agent or "") or next(iter(self.owners.values()))
        text = field.help[0].upper() + field.help[1:]
        if field.choices is not None:
            text += ": " + ", ".join(field.choices)
        return found[0], f"{text}.  [{'; '.join(_notes(field, agent))}]"


def _notes(field: Field, agent: str | None) -> Iterator[str]:
    from fastpong.agents import AGENTS

    own = {name: cls.defaults[field.name] for name, cls in AGENTS.items()
           if field.name in cls.defaults}  # fmt: skip
    if agent is None:
        others = {value: [n for n in own if own[n] == value] for value in own.values()}
        notes = [f"{', '.join(names)}: {value}" for value, names in others.items()]
        yield "; ".join([f"default: {_written(field, field.default)}", *notes])
    else:
        yield f"default: {_written(field, own.get(agent, field.default))}"
        if field.limits:
            yield field.limits


def _written(field: Field, value: Value) -> str:
    if isinstance(value, bool):
        return flag(field.name if value else "no_" + field.name)[2:]
    return NEVER[field.kind is not float] if value is None else str(value)


class SettingsCommand(click.Command):
    """Take every setting besides the declared options.

    The settings are looked up at the first parse, help or completion and not at import, which
    stays light.
    """

    _complete = False

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return the declared parameters, the settings and ``--help``."""
        if not self._complete:
            self._complete = True
            declared = {parameter.name for parameter in self.params}
            self.params += [s for s in settings() if s.name not in declared]
        return super().get_params(ctx)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse, with an answer for other programs' options."""
        ctx.meta[_AGENT] = _named_agent(args)
        try:
            ctx.allow_extra_args = True  # for an answer of ours
            rest = super().parse_args(ctx, joined(args))
        except click.NoSuchOption as error:
            name = error.option_name.lstrip("-")
            told = answer(name, flag) or answer(name.removeprefix("no-"), flag)
            if told is None:
                raise
            raise click.UsageError(f"{error.option_name}: {told}", ctx) from None
        if rest and not ctx.resilient_parsing:
            raise click.UsageError(stray(rest[0]), ctx)
        return rest

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the main options, and a named agent's settings."""
        agent: str | None = ctx.meta.get(_AGENT)
        parameters = {p.name: p for p in self.get_params(ctx) if isinstance(p, click.Option)}
        sections = {"Options": [name for name in MAIN if name in parameters]}
        if agent is not None:
            own = {
                name: agent in getattr(p, "owners", ())
                for name, p in parameters.items()
                if name not in MAIN and {agent, ""} & {*getattr(p, "owners", ())}
            }
            more = [name for name in MORE if name in parameters]
            more += [name for name in own if not own[name]]
            sections["More settings of a run"] = more
            sections[f"Settings of agent {agent}"] = [name for name in own if own[name]]
        for title, names in sections.items():
            with formatter.section(title):
                records = [_record(parameters[name], ctx, agent) for name in names]
                if title == "Options" and (option := self.get_help_option(ctx)) is not None:
                    records.append(_record(option, ctx, agent))
                formatter.write_dl(records, col_max=27)
        if agent is not None:
            _write_recipe(agent, formatter)


def _write_recipe(agent: str, formatter: click.HelpFormatter) -> None:
    """Write where an agent's values come from without ``--env``."""
    from fastpong import recipes

    name = recipes.for_agent(agent).name
    formatter.write_paragraph()
    with formatter.indentation():
        formatter.write_text(
            f"Without --env, --agent {agent} takes the values of recipe {name} instead of these "
            f"defaults: fastpong recipes {name}"
        )


def _record(option: click.Option, ctx: click.Context, agent: str | None) -> tuple[str, str]:
    if isinstance(option, Setting):
        return option.record(ctx, agent)
    found = option.get_help_record(ctx)
    assert found is not None
    return found


def _named_agent(args: Sequence[str]) -> str | None:
    """Return the agent named, or that of the recipe."""
    from fastpong import recipes
    from fastpong.agents import AGENTS, ALIASES

    words = [word for arg in args for word in arg.split("=", 1)]
    named = dict(pairwise(words))
    agent = ALIASES.get(named.get("--agent", ""), named.get("--agent"))
    if agent is None and named.get("--recipe") in recipes.RECIPES:
        agent = recipes.load(named["--recipe"]).agent
    return agent if agent in AGENTS else None


def settings() -> list[Setting]:
    """Return an option for every setting there is."""
    from fastpong.agents import AGENTS
    from fastpong.settings.config import Config
    from fastpong.settings.fields import fields
    from fastpong.settings.tables import settings_of

    owners: dict[str, dict[str, Field]] = {}
    for name, field in fields(Config).items():
        if name != "recipe":  # an option of its own
            owners[name] = {"": field}
    for agent in AGENTS:
        for name, field in settings_of(agent).items():
            owners.setdefault(name, {})[agent] = field
    return [Setting(name, fields) for name, fields in owners.items()]
