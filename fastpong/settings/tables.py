"""Stages as tables of plain values: the format of recipes, config files and checkpoints.

The first stage's keys stand at the top, beside the shared settings. Every other stage is one of the
``stages``, and names its first step and the settings that change.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TypeAlias

from fastpong.agents import AGENTS, ALIASES
from fastpong.printable import brief
from fastpong.settings.fields import Field, Plain, Value, fields, plain, plain_values
from fastpong.settings.schedules import Schedule
from fastpong.settings.stages import AgentSettings, Stage
from fastpong.settings.words import unknown

Table: TypeAlias = Mapping[str, object]

DEFAULT_AGENT = "karpathy"
_MOST_STAGES = 100
STAGE = fields(Stage)
FIRST_STAGE = {"frame_skip": STAGE["frame_skip"]}
"""Keys of the first stage that are no settings of its agent."""


def find_agent(value: object) -> str:
    """Return the agent of that name.

    It may be a name of version 0.1.

    Raises ValueError for any other.
    """
    name = ALIASES.get(value, value) if isinstance(value, str) else value
    if not isinstance(name, str) or name not in AGENTS:
        raise ValueError(f"agent: expected one of {', '.join(AGENTS)}, got {brief(value)}")
    return name


def settings_class(agent: str) -> type[AgentSettings]:
    """Return the class of an agent's settings."""
    found: type[AgentSettings] = AGENTS[agent].Settings
    return found


def settings_of(agent: str) -> Mapping[str, Field]:
    """Return an agent's settings by name."""
    return fields(settings_class(agent))


def owners(name: str) -> list[str]:
    """Return the agents with a setting of that name."""
    return [agent for agent in AGENTS if name in settings_of(agent)]


def stage_tables(values: Table) -> list[dict[str, object]]:
    """Return the table of every stage.

    The first has the shared settings in it.

    Raises ValueError where ``stages`` is no list of tables.
    """
    later = values.get("stages", [])
    if not isinstance(later, (list, tuple)) or not all(isinstance(t, Mapping) for t in later):
        raise ValueError(f"stages: expected tables [[stages]], got {brief(later)}")
    if len(later) > _MOST_STAGES:
        raise ValueError(f"stages: expected up to {_MOST_STAGES}, got {len(later)}")
    first = {name: value for name, value in values.items() if name != "stages"}
    return [first, *(dict(table) for table in later)]


def agents_of(tables: Sequence[Table]) -> list[str]:
    """Return the agent of every stage's table."""
    agents, agent = [], DEFAULT_AGENT
    for table in tables:
        agent = find_agent(table.get("agent", agent))
        agents.append(agent)
    return agents


def read_stages(tables: Sequence[Table], shared: Collection[str]) -> tuple[Stage, ...]:
    """Make the stages of their tables.

    shared : settings of the whole run, not for stages

    Raises ValueError for an unknown key or a wrong value, naming the stage from the second on.
    """
    stages: list[Stage] = []
    for number, (table, agent) in enumerate(zip(tables, agents_of(tables), strict=True)):
        try:
            stages.append(_read_stage(table, agent, stages, shared))
        except ValueError as error:
            raise ValueError(f"stage {number + 1}: {error}" if number else str(error)) from None
    return tuple(stages)


def _read_stage(
    table: Table, agent: str, before: Sequence[Stage], shared: Collection[str]
) -> Stage:
    own, declared = settings_of(agent), STAGE if before else FIRST_STAGE
    given = {name: value for name, value in table.items() if name != "agent"}
    for name, value in given.items():
        if name in own or name in declared:
            continue
        if before and name in shared:
            raise ValueError(f"{name}: is a setting of the whole run; put it above [[stages]]")
        raise ValueError(unknown(name, value, agent, owners(name), {*own, *declared, *shared}))
    if before and "from_step" not in given:
        raise ValueError("from_step: expected the first step of the stage, got none; add it")
    settings: dict[str, Value] = {}
    placed: dict[str, Value] = {"frame_skip": before[-1].frame_skip} if before else {}
    set_in: dict[str, int] = {}
    kinds = {n: f.kind for n, f in settings_of(before[-1].agent).items()} if before else {}
    for name, field in own.items():
        inherits = name not in given and kinds.get(name) is field.kind
        if inherits:
            settings[name] = getattr(before[-1].settings, name)
        elif name in given:
            settings[name] = field.convert(given[name])
        if field.kind is Schedule:
            set_in[name] = before[-1].set_in.get(name, 0) if inherits else len(before)
    for name, field in declared.items():
        if name in given:
            placed[name] = field.convert(given[name])
    made = settings_class(agent)(**settings)
    return Stage(agent=agent, settings=made, set_in=set_in, **placed)  # type: ignore[arg-type]


def write_stages(stages: Sequence[Stage]) -> list[dict[str, Plain]]:
    """Return the stages' tables, for ``read_stages``."""
    first = stages[0]
    tables: list[dict[str, Plain]] = [{"agent": first.agent}]
    if first.frame_skip is not None:
        tables[0]["frame_skip"] = first.frame_skip
    tables[0] |= plain_values(first.settings)
    for number, stage in enumerate(stages[1:], 1):
        tables.append(_changes(stage, stages[number - 1], number))
    return tables


def _changes(stage: Stage, before: Stage, number: int) -> dict[str, Plain]:
    """Return a stage's first step and its changed settings."""
    table: dict[str, Plain] = {"from_step": stage.from_step}
    if stage.agent != before.agent:
        table["agent"] = stage.agent
    for name, field in STAGE.items():
        value = getattr(stage, name)
        old = before.frame_skip if name == "frame_skip" else field.default
        if name != "from_step" and value != old:
            table[name] = value
    for name, value in plain_values(stage.settings).items():
        old = plain(getattr(before.settings, name, None))
        if value != old or stage.set_in.get(name) == number:
            table[name] = value
    return table


def override(values: Table, changes: Table) -> dict[str, object]:
    """Replace settings in every stage that has them.

    The first stage with a setting gets the new value, and the others inherit it. ``stages`` in the
    changes take the place of all later stages, as they stand there.
    """
    if "stages" in changes:
        rest = {name: value for name, value in changes.items() if name != "stages"}
        return {**override(values, rest), "stages": changes["stages"]}
    tables = stage_tables(values)
    agents = agents_of(
        [tables[0] | {k: v for k, v in changes.items() if k == "agent"}, *tables[1:]]
    )
    for name, value in changes.items():
        has = [name in settings_of(agent) for agent in agents]
        if not any(has):
            tables[0][name] = value
            continue
        for number, table in enumerate(tables):
            table.pop(name, None)
            if has[number] and not (number and has[number - 1]):
                table[name] = value
    return tables[0] | ({"stages": tables[1:]} if "stages" in values else {})
