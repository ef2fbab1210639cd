"""The page of a report, put together."""

from __future__ import annotations

from string import Template

from fastpong import __version__
from fastpong.pages import read_asset
from fastpong.pages.html import Html, escape, tag
from fastpong.report.curves import changed_at, curves_section, tiles
from fastpong.report.evaluation import evaluation_section
from fastpong.report.gathering import Gathered
from fastpong.report.settings import settings_section, versions_section
from fastpong.report.weights import weights_section


def render(gathered: Gathered) -> str:
    """Return the HTML of a report. It needs no other file and no network."""
    name = gathered.facts.directory.resolve().name
    body = tag("main", _head(gathered, name), tiles(gathered), _film(gathered),
               curves_section(gathered), evaluation_section(gathered),
               weights_section(gathered.weights),
               settings_section(gathered.facts), versions_section(gathered.facts))  # fmt: skip
    return Template(read_asset("report.html", __package__)).substitute(
        generator=escape(f"fastpong {__version__}"),
        title=escape(f"{name}: report of fastpong"),
        style=read_asset("style.css") + read_asset("report.css", __package__),
        script=read_asset("charts.js") + read_asset("report.js", __package__),
        body=body,
    )


def _head(gathered: Gathered, name: str) -> Html:
    config, training = gathered.facts.config, gathered.facts.training
    agents = " then ".join(dict.fromkeys(stage.agent for stage in config.stages))
    recipe = f", recipe {config.recipe}" if config.recipe else ""
    state = tag(
        "span", "in training" if training else "ended", class_="state training" if training else
        "state",
    )  # fmt: skip
    changed = changed_at(gathered)
    last = f", last episode {changed}" if changed else ""
    about = tag("p", f"{agents} on {config.env}{recipe}, seed {config.seed}", class_="dim")
    return tag("header", tag("h1", name), about, tag("p", state, last))


def _film(gathered: Gathered) -> Html:
    notes = [tag("p", note, class_="note") for note in gathered.notes.get("film", [])]
    if gathered.film is None and not notes:
        return Html()
    return tag("section", tag("h2", "A game"), *([gathered.film] if gathered.film else []), *notes)
