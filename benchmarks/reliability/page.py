"""The figures of docs/reliability.md, between two marks in a page written by hand."""

from __future__ import annotations

from typing import Any

import marked
from measure import ROOT
from results import table

PAGE = ROOT / "docs" / "reliability.md"
SCRIPT = "faults.py"

Result = dict[str, Any]


def write(numbers: Result) -> None:
    """Replace the figures on the page."""
    marked.replace(PAGE, SCRIPT, figures(numbers))


def figures(numbers: Result) -> str:
    """Return the figures in Markdown."""
    parts = [
        "\n".join([*lines(numbers[part]), "", _about(numbers[part], part)])
        for part, lines in SECTIONS.items()
        if part in numbers
    ]
    return "\n" + "\n\n".join(parts) + "\n"


def _about(result: Result, part: str) -> str:
    faults = len(result["faults"])
    return (
        f"`python benchmarks/faults.py {part}` on {result['date']}, commit "
        f"`{result['commit'][:12]}`: {faults or 'no'} fault{'s' * (faults != 1)}."
    )


def _tally(result: Result, name: str) -> str:
    return ", ".join(f"{word} {count:,}" for word, count in result.get(name, {}).items())


def _kills(result: Result) -> list[str]:
    total = sum(result.get("phase", {}).values())
    rows = [
        ["kills that met a living process", f"{total:,}, in {result.get('next', 0):,} trainings"],
        ["of", "; ".join(f"{word} {n:,}" for word, n in result.get("blow", {}).items())],
        *([f"by {name}", _tally(result, name)] for name in ("phase", "agent", "emulator")),
        ["by start method", _tally(result, "method")],
        ["met a checkpoint half written", f"{result['writing']:,}"],
        [
            "longest that a process outlived its parent",
            f"{result['orphans']:.1f} s" + (f", by {result['last']}" if "last" in result else ""),
        ],
    ]
    return ["### Kills", "", *table(["", ""], rows)]


def _bits(result: Result) -> list[str]:
    rows = [
        ["bits of the checkpoint, data and manifest", f"{result['bits']:,}"],
        ["flipped, and refused by the loader", f"{result['refused']:,}"],
        ["with a search for the newest whole one, which was the one before",
         f"{result['passed']:,}"],
        ["met by `fastpong train --resume`, which ended with the undisturbed run's bytes",
         f"{result['commands']:,}"],
    ]  # fmt: skip
    return ["### Bits", "", *table(["", ""], rows)]


def _soak(result: Result) -> list[str]:
    header = ["agent", "minutes", "episodes", "evaluations", "trainer, MB", "workers, MB",
              "descriptors", "threads", "files"]  # fmt: skip
    rows = [
        [agent, f"{found['seconds'] / 60:.1f}", f"{found['episodes']:,}",
         f"{found['evaluations']:,}",
         *(f"{found['peak'][name]:.0f} ({found['growth'][name]:+.2g})" for name in found["growth"])]
        for agent, found in result["agents"].items()
    ]  # fmt: skip
    return ["### Soak", "", "The most of each, and the growth from the second third of the time to "
            "the last.", "", *table(header, rows)]  # fmt: skip


def _fuzz(result: Result) -> list[str]:
    rows = [
        [f"`{name}`", f"{done['cases']:,}", f"{done['seconds']:.0f} s"]
        for name, done in result["fuzzers"].items()
    ]
    return ["### Fuzzers", "", *table(["fuzzer", "cases", "time"], rows)]


def _sanitize(result: Result) -> list[str]:
    return ["### Sanitizers", "", f"`.ci/sanitize`: {result['closing']}"]


SECTIONS = {"kills": _kills, "bits": _bits, "soak": _soak, "fuzz": _fuzz, "sanitize": _sanitize}
