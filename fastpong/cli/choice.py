"""The settings of a run from recipe, config file and command line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import click

from fastpong.cli.display import say
from fastpong.cli.options import NEVER, as_option, flag
from fastpong.printable import counted

if TYPE_CHECKING:
    from fastpong import recipes
    from fastpong.settings.config import Config
    from fastpong.settings.fields import Field, Value

Given: TypeAlias = Mapping[str, str | bool | None]
"""Options of the command line: text, not converted yet. None: not given."""


class Choice(NamedTuple):
    """Hold a new run's settings, and notes about them."""

    config: Config
    notes: list[str]


def choose(
    recipe: str | None,
    config_file: Path | None,
    given: Given,
    fixed: Mapping[str, object] | None = None,
) -> Choice:
    """Return the settings of a new run.

    The command line overrides the config file or recipe, and these the defaults.

    fixed : settings of a model that the run is made of. Nothing else may be asked for, and no
            recipe is recommended

    Raises click.UsageError, naming the option, or the file and its key.
    """
    if recipe is not None and config_file is not None:
        raise click.UsageError(
            "--recipe and --config: expected one of them; a config file may say recipe = "
            f'"{recipe}" and override its values'
        )
    words = {name: value for name, value in given.items() if value is not None}
    if fixed is not None:
        base: Mapping[str, object] = _read(config_file)
        _check_fixed({**base, **words}, fixed)
        base = {**base, **fixed}
        words = {name: value for name, value in words.items() if name not in fixed}
        return Choice(_built(base, config_file, words), [])
    base, notes = _base(recipe, config_file, words)
    config = _built(base, config_file, words)
    if config.init_from is not None:
        notes = [*notes, _checked_weights(config)]
    return Choice(config, notes or _untried(config))


def named_env(
    env: str | bool | None, frame_skip: int | None, sticky: float | None
) -> str | bool | None:
    """Return the name of the environment with this frame skip and stickiness.

    Raises click.UsageError where none is so.
    """
    from fastpong.envs.variants import find_like

    if frame_skip is None and sticky is None:
        return env
    if env is None:
        flags = "--sticky" if frame_skip is None else "--frame-skip"
        raise click.UsageError(f"{flags}: expected --env beside it, as in --env ALE/Pong-v5")
    try:
        found = find_like(str(env), frame_skip, sticky)
    except ValueError as error:
        raise click.UsageError(as_option(error)) from None
    if found.name != env:
        say(found.explained)
    return found.name


def changes(
    own: Path, recipe: str | None, config_file: Path | None, given: Given
) -> dict[str, object]:
    """Return the settings to change in a resumed run.

    own : its config.toml

    Raises click.UsageError as ``choose``. A broken config.toml is refused by who resumes.
    """
    from fastpong.settings.config import Config
    from fastpong.settings.fields import fields
    from fastpong.settings.tables import override

    if recipe is not None:
        raise click.UsageError("--recipe: expected none, a resumed run has its own settings")
    words, file = {n: v for n, v in given.items() if v is not None}, _read(config_file)
    if not words and not file:
        return {}
    try:
        config = Config.stored(Config.load(own))
    except (OSError, ValueError):
        return {}
    _check_agent({**file, **words}, config.agent)
    config = _built(override(config.flat(), file), config_file, words)
    flat = {**dict.fromkeys(fields(Config)), **config.flat()}
    wanted = {*words, *file, "stages"} - {"agent"}
    return {name: value for name, value in flat.items() if name in wanted}


def sets_workers(config_file: Path | None, given: Given) -> bool:
    """Return whether command line or config file say how many workers play."""
    return given.get("workers") is not None or "workers" in _read(config_file)


def _check_agent(asked: Mapping[str, object], own: str) -> None:
    from fastpong.settings.tables import find_agent

    try:
        agent = find_agent(asked.get("agent", own))
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    if agent != own:
        raise click.UsageError(f"--agent: expected {own}, the run's, or none, got {agent}")


def _check_fixed(asked: Mapping[str, object], fixed: Mapping[str, object]) -> None:
    for name, value in fixed.items():
        if str(asked.get(name, value)) != str(value):
            raise click.UsageError(
                f"{flag(name)}: expected {value}, the model's, or none, got {asked[name]}"
            )


def _base(
    recipe: str | None, config_file: Path | None, words: Mapping[str, str | bool]
) -> tuple[Mapping[str, object], list[str]]:
    """Return the values to override, and notes about them."""
    from fastpong import recipes

    agent, env = words.get("agent"), words.get("env")
    if "init_from" in words and not (recipe or config_file or agent):
        from fastpong.training.beginning import find_weights, settings_of

        return settings_of(find_weights(str(words["init_from"]))), []
    if recipe is not None:
        found = recipes.load(recipe)
        if agent not in (None, found.agent):
            raise click.UsageError(
                f"--agent: expected {found.agent}, the agent of recipe {recipe}, or none, got "
                f"{agent}; leave one of the two out"
            )
        return found.values, []
    if config_file is not None:
        return _with_recipe(config_file, _read(config_file)), []
    if agent is not None and env is None:
        found = recipes.for_agent(str(agent))
        return found.values, [f"recipe {found.name}: {found.description}, {found.env}"]
    if agent is not None:
        return {}, _recommended(recipes.for_agent(str(agent)), words)
    if env is not None:
        advised = recipes.for_env(str(env))
        other = advised is not None and advised.name != recipes.DEFAULT
        notes = [_advice(advised)] if advised is not None and other else []
        return recipes.load(recipes.DEFAULT).values, notes
    return recipes.load(recipes.DEFAULT).values, []


def _checked_weights(config: Config) -> str:
    """Return a note about the weights that a run begins with.

    Raises click.UsageError for weights that do not fit.
    """
    from fastpong.cli.checkpoints import find_checkpoint
    from fastpong.training.beginning import initial_weights

    assert config.init_from is not None
    try:
        initial_weights(config)
    except ValueError as error:
        raise click.UsageError(as_option(error)) from None
    found = find_checkpoint(Path(config.init_from))
    return f"begins with the weights of {found.path}, after {counted(found.episode, 'episode')}"


def _recommended(recipe: recipes.Recipe, words: Mapping[str, str | bool]) -> list[str]:
    """Recommend a recipe that differs from the agent's defaults."""
    from fastpong.settings.config import Config

    if words["env"] != recipe.env:
        return []
    plain = Config.build({"agent": recipe.agent, "env": recipe.env})
    return [_advice(recipe)] if plain.stages != Config.build(recipe.values).stages else []


def _advice(recipe: recipes.Recipe) -> str:
    return (
        f"recommended for {recipe.env}: fastpong train --recipe {recipe.name}; "
        f"it reaches {recipe.reaches}"
    )


def _untried(config: Config) -> list[str]:
    from fastpong.recipes import TRIED

    known = TRIED.get(config.agent, ())
    if not known or config.env in known:
        return []
    return [
        f"agent {config.agent} was never tried in {config.env}; its settings were chosen in "
        f"{' and '.join(known)}"
    ]


def _with_recipe(path: Path, values: Mapping[str, object]) -> Mapping[str, object]:
    """Return a file's values over its recipe's.

    A run's own config.toml names one, too, but has all settings.
    """
    from fastpong import recipes
    from fastpong.settings.tables import override

    name = values.get("recipe", "")
    if name == "" or "agent" in values:
        return values
    try:
        base = recipes.load(str(name)).values
        return override(base, values)
    except ValueError as error:
        raise click.UsageError(f"{path}: {error}") from None


def _built(
    base: Mapping[str, object], config_file: Path | None, words: Mapping[str, str | bool]
) -> Config:
    """Make the settings: ``base``, overridden by the command line."""
    from fastpong.settings.config import Config
    from fastpong.settings.tables import agents_of, override, stage_tables

    try:
        agents = agents_of([*_with_agent(stage_tables(base), words)])
        chosen = _typed(words, agents)
        return Config.build(override(base, chosen))
    except ValueError as error:
        by_file = config_file is not None and _refused(base)
        raise click.UsageError(f"{config_file}: {error}" if by_file else str(error)) from error


def _with_agent(
    tables: Sequence[Mapping[str, object]], words: Mapping[str, str | bool]
) -> Iterable[Mapping[str, object]]:
    agent = {"agent": words["agent"]} if "agent" in words else {}
    yield {**tables[0], **agent}
    yield from tables[1:]


def _refused(values: Mapping[str, object]) -> bool:
    """Return whether settings are refused by themselves."""
    from fastpong.settings.config import Config

    try:
        Config.build(values)
    except ValueError:
        return True
    return False


def _read(config_file: Path | None) -> dict[str, object]:
    from fastpong.settings.config import Config
    from fastpong.storage.files import reason

    if config_file is None:
        return {}
    try:
        return Config.load(config_file)
    except OSError as error:
        raise click.UsageError(f"--config: cannot read {config_file}: {reason(error)}") from error
    except ValueError as error:
        raise click.UsageError(f"--config: {error}") from error


def _typed(words: Mapping[str, str | bool], agents: Sequence[str]) -> dict[str, object]:
    """Convert the given options by their fields.

    Raises click.UsageError, naming the option, what was expected and what came.
    """
    from fastpong.settings.config import Config
    from fastpong.settings.fields import fields
    from fastpong.settings.tables import owners, settings_of

    values: dict[str, object] = {}
    for name, text in words.items():
        if name == "agent":
            values[name] = text
            continue
        known = [fields(Config), *(settings_of(agent) for agent in agents)]
        field = next((table[name] for table in known if name in table), None)
        if field is None:
            others = owners(name)
            raise click.UsageError(
                f"{flag(name)}: is a setting of agent {' or '.join(others)}; "
                f"give --agent {others[0]}, or leave it out"
            )
        try:
            values[name] = field.convert(_parse(field, text))
        except ValueError as error:
            raise click.UsageError(as_option(error)) from error
    return values


def _parse(field: Field, text: str | bool) -> Value:
    """Read a number.

    Other text stays text, and the field's check refuses it.
    """
    if isinstance(text, bool) or field.kind not in (int, float):
        return text
    if field.optional and text in NEVER:
        return None
    try:
        number = float(text) if field.kind is float else _integer(text)
    except (ValueError, OverflowError):
        return text
    return number


def _integer(text: str) -> int:
    """Read an integer, also in the form of 1e6."""
    try:
        return int(text)
    except ValueError:
        number = int(float(text))
        if number != float(text) or "e" not in text.lower():
            raise
        return number
