"""Command-line options made from the settings' own declarations.

Every field of ``Config`` and of every registered agent's ``Hyperparameters`` becomes an option:
its help line, default and range are the field's. Registering an agent adds its options to the
command line, and nothing here changes. The values given are text until it is known which agent
they are for; then the field's own check converts them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from fastpong.settings import fields as options

if TYPE_CHECKING:
    from fastpong.settings.config import Config

SHARED, OTHER = "Settings", "Run and screen"
_METAVARS = {int: "INTEGER", float: "NUMBER", str: "TEXT"}


def flag(name: str) -> str:
    """Return the option's spelling on the command line."""
    return "--" + name.replace("_", "-")


class Setting(click.Option):
    """The option of one field; ``section`` is the heading of its part of the help."""

    def __init__(self, name: str, section: str, help: str, kind: Any, metavar: str | None) -> None:
        if kind is bool:
            pair = f"{flag(name)}/{flag('no_' + name)}"
            super().__init__([pair, name], help=help, default=None)
        else:
            super().__init__([flag(name), name], help=help, type=kind, metavar=metavar)
        self.section = section


class Names(click.ParamType):  # type: ignore[type-arg]
    """One of the names in a table of a module, which is imported when it is needed."""

    name = "name"

    def __init__(self, module: str, table: str) -> None:
        self._module, self._table = module, table

    def _choice(self) -> click.Choice[str]:
        return click.Choice(list(getattr(import_module(self._module), self._table)))

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the name; click.BadParameter lists those there are."""
        return self._choice().convert(value, param, ctx)

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str | None:
        """Show the names in the help."""
        return self._choice().get_metavar(param, ctx)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Complete a name."""
        return self._choice().shell_complete(ctx, param, incomplete)


class SettingsCommand(click.Command):
    """A command that takes every setting besides the options declared on it.

    The settings are looked up at the first parse, help or completion and not at import, which
    stays light.
    """

    _complete = False

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return the declared parameters, the settings and ``--help``."""
        if not self._complete:
            self._complete = True
            self.params += settings()
        return super().get_params(ctx)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the help in sections: the command's own options, shared settings, agents'."""
        sections: dict[str, list[tuple[str, str]]] = {SHARED: []}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                sections.setdefault(getattr(parameter, "section", OTHER), []).append(record)
        sections[OTHER] = sections.pop(OTHER)
        for title, records in sections.items():
            with formatter.section(title):
                formatter.write_dl(records)


def settings() -> list[Setting]:
    """Return an option for every field of ``Config`` and of all agents' hyperparameters."""
    from fastpong.agents import AGENTS
    from fastpong.settings.config import Config

    found = [_setting(name, [("", Config)]) for name in options.types(Config)]
    owners: dict[str, list[tuple[str, type]]] = {}
    for agent, cls in AGENTS.items():
        for name in options.types(cls.Hyperparameters):
            owners.setdefault(name, []).append((agent, cls.Hyperparameters))
    return found + [_setting(name, classes) for name, classes in owners.items()]


def _setting(name: str, owners: list[tuple[str, type]]) -> Setting:
    """Make the option of a field that the classes ``owners`` declare, by agent."""
    first = owners[0][1]
    agents = ", ".join(agent for agent, _ in owners)
    text = "  ".join(_texts(name, owners))
    notes = "; ".join(dict.fromkeys(_notes(name, owners)))
    kind = options.types(first)[name]
    choices = list(_choices(name, owners))
    section = f"Settings of agent {agents}" if agents else SHARED
    return Setting(
        name,
        section,
        f"{text}  [{notes}]",
        # Completion alone is the choice's work here; the field's own check comes later.
        bool if kind is bool else click.Choice(choices) if choices else str,
        None if choices else _METAVARS.get(kind),
    )


def _texts(name: str, owners: list[tuple[str, type]]) -> Iterator[str]:
    """Return the help line, and whatever else an agent has to say of an option of that name."""
    said: dict[str, list[str]] = {}
    for agent, cls in owners:
        said.setdefault(options.help_text(cls, name), []).append(agent)
    for number, (text, agents) in enumerate(said.items()):
        whose = f"{', '.join(agents)}: {text}" if number else text[0].upper() + text[1:]
        yield whose.rstrip(".") + "."


def _notes(name: str, owners: list[tuple[str, type]]) -> Iterator[str]:
    for agent, cls in owners:
        whose = f"{agent}: " if len(owners) > 1 else ""
        value = default(cls, name)
        if isinstance(value, bool):
            yield f"{whose}default: {flag(name if value else 'no_' + name)[2:]}"
            continue
        yield f"{whose}default: {value}"
        yield from () if agent else _own_defaults(name)
    for agent, cls in owners:
        bounds = options.describe(cls, name).split(" ", 2)[2:]  # without "an integer"
        same = all(options.describe(c, name) == options.describe(cls, name) for _, c in owners)
        if bounds and not list(_choices(name, owners)) and options.types(cls)[name] is not bool:
            yield bounds[0] if same else f"{agent}: {bounds[0]}"


def _own_defaults(name: str) -> Iterator[str]:
    from fastpong.agents import AGENTS
    from fastpong.settings.config import own_defaults

    for agent in AGENTS:
        if name in own_defaults(agent):
            yield f"{agent}: {own_defaults(agent)[name]}"


def _choices(name: str, owners: list[tuple[str, type]]) -> Iterator[str]:
    """Return the values an option may have, where they can be listed."""
    for _, cls in owners:
        (field,) = (field for field in dataclasses.fields(cls) if field.name == name)
        yield from field.metadata.get("choices", ())


def default(cls: type, name: str) -> Any:
    """Return the default of a field."""
    (field,) = (field for field in dataclasses.fields(cls) if field.name == name)
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


def build(
    config_file: Path | None,
    given: Mapping[str, Any],
    fixed: Mapping[str, Any] = MappingProxyType({}),
) -> Config:
    """Return the settings of a new run: command line before config file before defaults.

    ``fixed`` are those of a model that the run is made of; nothing else may be asked for.
    Raises click.UsageError, naming the option, or the file and its key.
    """
    asked = {**_read(config_file), **_given(given)}
    for name, value in fixed.items():
        if str(asked.get(name, value)) != str(value):
            raise click.UsageError(
                f"{flag(name)}: expected {value}, the model's, or none, got {asked[name]}"
            )
    words = {n: v if isinstance(v, bool) else str(v) for n, v in fixed.items()}
    return _merge({}, config_file, {**given, **words})


def overrides(
    own: Path, config_file: Path | None, given: Mapping[str, str | None]
) -> dict[str, Any]:
    """Return what command line and config file ask for beside a run's ``own`` config.toml.

    Raises click.UsageError as ``build``; not for a broken config.toml, which is for who resumes.
    """
    from fastpong.settings.config import Config

    names = {*_read(config_file), *_given(given)}
    try:
        base = Config.load(own)
    except (OSError, ValueError):
        return {}
    if not names:
        return {}
    own_agent = base.get("agent", Config.agent)
    agent = {**_read(config_file), **_given(given)}.get("agent", own_agent)
    if agent != own_agent:
        raise click.UsageError(
            f"{flag('agent')}: expected {own_agent}, the run's, or none, got {agent}"
        )
    flat = _merge(base, config_file, given).flat()
    return {name: flat[name] for name in names if name in flat}


def _merge(base: Mapping[str, Any], config_file: Path | None, given: Mapping[str, Any]) -> Config:
    from fastpong.agents import AGENTS
    from fastpong.settings.config import Config

    words = _given(given)
    values = {**base, **_read(config_file)}
    agent = words.get("agent", values.get("agent", Config.agent))
    known = isinstance(agent, str) and agent in AGENTS  # else Config.build says what it is
    hyper = [AGENTS[agent].Hyperparameters] if known else []
    chosen = _typed(words, [Config, *hyper])
    try:
        return Config.build(values | chosen)
    except ValueError as error:
        by_file = config_file is not None and _refused(values)
        raise click.UsageError(f"{config_file}: {error}" if by_file else str(error)) from error


def _refused(values: Mapping[str, Any]) -> bool:
    """Whether settings are refused by themselves."""
    from fastpong.settings.config import Config

    try:
        Config.build(values)
    except ValueError:
        return True
    return False


def _given(given: Mapping[str, Any]) -> dict[str, Any]:
    return {name: text for name, text in given.items() if text is not None}


def _read(config_file: Path | None) -> dict[str, Any]:
    from fastpong.settings.config import Config

    if config_file is None:
        return {}
    try:
        return Config.load(config_file)
    except OSError as error:
        raise click.UsageError(f"--config: cannot read {config_file}: {error.strerror}") from error
    except ValueError as error:
        raise click.UsageError(f"--config: {error}") from error


def _typed(given: Mapping[str, Any], classes: Sequence[type]) -> dict[str, Any]:
    """Convert the options given on the command line by the fields they are for.

    ``classes`` are Config and the hyperparameters of the agent in use. Raises click.UsageError,
    naming the option, what was expected and what came.
    """
    from fastpong.settings.config import owners

    values: dict[str, Any] = {}
    for name, text in given.items():
        owner = next((cls for cls in classes if name in options.types(cls)), None)
        if owner is None:
            whose = owners(name)
            raise click.UsageError(
                f"{flag(name)}: a setting of agent {whose}; give --agent {whose.split()[0]}, or "
                f"leave it out"
            )
        try:
            values[name] = options.convert(owner, name, _parse(options.types(owner)[name], text))
        except ValueError as error:
            raise click.UsageError(str(error).replace(name, flag(name), 1)) from error
    return values


def _parse(kind: type, text: str) -> Any:
    """Read a number; what is none stays text, and the field's check says what was expected."""
    try:
        return kind(text)
    except ValueError:
        return text
