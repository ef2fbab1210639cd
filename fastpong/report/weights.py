"""The part of a report about what hidden units see."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fastpong.arrays import Doubles
from fastpong.pages.html import Html, tag
from fastpong.pages.png import data_uri, encode_png
from fastpong.viewing.sheet import colours, scaled
from fastpong.viewing.weights import Section, Unit

UNITS = 16
"""Of a section, so that the page stays small."""

_LEVELS = 64
_PALETTE = colours(np.linspace(-1, 1, _LEVELS))


def weights_section(sections: Sequence[Section]) -> Html:
    """Return the images of hidden units, nothing without any."""
    if not sections:
        return Html()
    note = "Red is positive, blue is negative. Each unit has the colours of its own largest weight."
    parts = [tag("h2", "What hidden units see"), tag("p", note, class_="note")]
    return tag("section", *parts, *map(_section, sections))


def _section(section: Section) -> Html:
    order = f" From left to right: {', '.join(section.columns)}." if section.columns[1:] else ""
    units = (_unit(unit, section.columns) for unit in section.units)
    title = tag("p", f"{section.title}.{order}")
    return tag("div", title, tag("div", *units, class_="units"))


def _unit(unit: Unit, columns: Sequence[str]) -> Html:
    images = (
        tag("img", src=picture(image), alt=f"unit {unit.name}, {column}")
        for image, column in zip(scaled(unit), columns, strict=True)
    )
    return tag("figure", tag("div", *images), tag("figcaption", unit.name), class_="unit")


def picture(values: Doubles) -> str:
    """Return values from -1 to 1 as the address of a picture.

    values : (rows, columns)
    """
    shares = (np.clip(values, -1, 1) + 1) / 2
    levels = np.rint(shares * (_LEVELS - 1)).astype(np.uint8)
    return data_uri(encode_png(levels, _PALETTE), "image/png")
