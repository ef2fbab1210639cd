"""The part of a report about settings and versions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from fastpong.pages.html import Html, join, table, tag
from fastpong.settings.config import Config
from fastpong.settings.fields import fields
from fastpong.settings.stages import Stage
from fastpong.settings.tables import settings_of
from fastpong.storage.reading import Facts


def settings_section(facts: Facts) -> Html:
    """Return the settings that differ from the defaults, all of them, and the later stages."""
    first = dict(facts.config.flat())
    later = first.pop("stages", [])
    default = Config.build({"agent": facts.config.agent}).flat()
    about = _help_lines(facts.config)
    changed = [
        (name, _written(value), _written(default.get(name, "never")))
        for name, value in first.items()
        if value != default.get(name) and name != "agent"
    ]
    whole = [(name, _written(value), about.get(name, "")) for name, value in first.items()]
    parts = [
        tag("h2", "Settings"),
        tag("p", f"Agent {facts.config.agent}. Besides it, these settings differ from the "
            "defaults of the agent:", class_="note"),
        table(("setting", "value", "default"), changed, "settings"),
        *_stages(later if isinstance(later, list) else []),
        _folded(f"All {len(whole)} settings", table(("setting", "value", ""), whole, "settings")),
        _folded("config.toml", tag("pre", facts.config.to_toml())),
    ]  # fmt: skip
    return join(parts)


def versions_section(facts: Facts) -> Html:
    """Return the versions of software that computed, and of every resumption."""
    found = {name: value for name, value in facts.versions.items() if name != "resumed"}
    resumed = facts.versions.get("resumed")
    parts = [tag("h2", "Versions")]
    if not found and not resumed:
        parts.append(tag("p", "versions.json is missing or cannot be read.", class_="note"))
    if found:
        parts.append(table(("", ""), [(name, _written(v)) for name, v in found.items()]))
    again = resumed if isinstance(resumed, list) else []
    return join([*parts, *(_resumption(one, found) for one in again if isinstance(one, dict))])


def _resumption(again: Mapping[str, object], first: Mapping[str, object]) -> Html:
    title = f"Resumed after episode {again.get('episode')}, {again.get('time')}"
    other = [
        (name, _written(value))
        for name, value in again.items()
        if name not in ("episode", "time") and value != first.get(name)
    ]
    same = tag("p", "With the same versions.", class_="note")
    return _folded(title, table(("", ""), other) if other else same)


def _stages(later: list[Mapping[str, object]]) -> Iterator[Html]:
    for number, changes in enumerate(later, 2):
        rows = [(name, _written(value)) for name, value in changes.items()]
        yield tag("h3", f"Stage {number}")
        yield table(("setting", "value"), rows, "settings")


def _help_lines(config: Config) -> dict[str, str]:
    known = {**fields(Stage), **fields(Config), **settings_of(config.agent)}
    return {name: field.help for name, field in known.items()}


def _folded(title: str, inside: Html) -> Html:
    return tag("details", tag("summary", title), inside)


def _written(value: object) -> str:
    if value is None:
        return "missing"
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:,}" if isinstance(value, int) and abs(value) >= 10000 else str(value)
