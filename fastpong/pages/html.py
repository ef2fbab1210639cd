"""HTML by functions that escape whatever is not HTML yet.

Names of runs, settings and versions come from files. No page is put together without `tag`, so none
of them can become markup.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence


class Html(str):
    """Hold text that is HTML already."""

    __slots__ = ()


_VOID = frozenset({"br", "hr", "img", "input", "meta"})


def escape(value: object) -> Html:
    """Return a value as HTML, as it is if it is HTML."""
    return value if isinstance(value, Html) else Html(html.escape(str(value)))


def join(parts: Iterable[object]) -> Html:
    """Return values one after the other."""
    return Html("".join(map(escape, parts)))


def tag(name: str, /, *parts: object, **attributes: object) -> Html:
    """Return an element.

    parts      : its content
    attributes : their values. `class_` is class, `data_x` is data-x. None is left out
    """
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _VOID:
        return Html(f"<{name}{given}>")
    return Html(f"<{name}{given}>{join(parts)}</{name}>")


def table(head: Sequence[object], rows: Iterable[Sequence[object]], class_: str = "") -> Html:
    """Return a table, which scrolls by itself where it is wider than the page.

    class_ : "numbers" aligns all columns but the first to the right
    """
    first = tag("tr", *(tag("th", cell, scope="col") for cell in head))
    body = (
        tag("tr", tag("th", cells[0], scope="row"), *(tag("td", cell) for cell in cells[1:]))
        for cells in rows
    )
    inner = tag("table", tag("thead", first), tag("tbody", *body), class_=class_ or None)
    return tag("div", inner, class_="scroll")


def tile(name: str, value: object, note: object = "") -> Html:
    """Return a figure with its name, and a note below."""
    parts = [tag("dt", name), tag("dd", value)]
    return tag("div", *parts, *([tag("dd", note, class_="note")] if note else []))
