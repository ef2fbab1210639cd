"""Settings written as TOML."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from fastpong.settings.fields import Field, Plain, fields, plain
from fastpong.settings.stages import Stage
from fastpong.settings.tables import STAGE, settings_of, write_stages

HEADING = "# Settings of a fastpong run. Use them again with `fastpong train --config`."


def write_toml(shared: object, stages: Sequence[Stage]) -> str:
    """Write shared settings and stages with help lines.

    A setting that is None is a comment. A setting that was explained above is not explained again.
    """
    first, *later = write_stages(stages)
    lines, explained = [HEADING, ""], set(settings_of(stages[0].agent))
    lines += ["# Learning algorithm.", f"agent = {toml(first.pop('agent'))}", ""]
    for name, field in fields(type(shared)).items():
        lines += _explained(field, plain(getattr(shared, name)))
    known = {**STAGE, **settings_of(stages[0].agent)}
    for name, value in first.items():
        lines += _explained(known[name], value)
    for number, (stage, table) in enumerate(zip(stages[1:], later, strict=True), 2):
        lines += [f"# Stage {number}. Other settings are as before.", "[[stages]]"]
        lines += _stage(stage, table, explained)
    return "\n".join(lines).rstrip() + "\n"


def _stage(stage: Stage, table: dict[str, Plain], explained: set[str]) -> Iterator[str]:
    known = {**STAGE, **settings_of(stage.agent)}
    for name, value in table.items():
        if name in known and name not in explained:
            explained.add(name)
            yield f"# {_help(known[name])}"
        yield f"{name} = {toml(value)}"
    yield ""


def _explained(field: Field, value: Plain | None) -> list[str]:
    written = f"{field.name} = {toml(value)}" if value is not None else f"# {field.name}: none"
    return [f"# {_help(field)}", written, ""]


def _help(field: Field) -> str:
    return f"{field.help[0].upper()}{field.help[1:]} ({field.expected})."


def toml(value: Plain) -> str:
    """Write a TOML value.

    Python's repr of numbers is TOML, and JSON's of text is but for DEL.
    """
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return repr(value)
