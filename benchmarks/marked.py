"""Figures of scripts, between marks in pages of docs/ that are written by hand.

<!-- figures: python benchmarks/watch_cost.py -->
a table, and when and where it was measured
<!-- end of the figures -->
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from measure import ROOT, Figure
from results import commit, environment, figure_row, table

from fastpong.storage import files

END = "<!-- end of the figures -->"


def begin(script: str) -> str:
    """Return the mark before a script's figures."""
    return f"<!-- figures: python benchmarks/{script} -->"


def marked(page: Path, script: str) -> str:
    """Return a script's figures on a page, empty without the marks."""
    return page.read_text().partition(begin(script))[2].partition(END)[0].strip()


def replace(page: Path, script: str, text: str) -> None:
    """Replace a script's figures on a page.

    Raises ValueError for a page without the marks.
    """
    before, mark, rest = page.read_text().partition(begin(script))
    _, end, after = rest.partition(END)
    if not (mark and end):
        raise ValueError(f"{page}: expected the marks {begin(script)} and {END}, found none")
    files.write_atomically(page, f"{before}{mark}\n\n{text.strip()}\n\n{end}{after}".encode())


class Marked:
    """Measure for a page: the load and the time from here on, and the page at the end.

    script : its name in benchmarks/
    page   : its name in docs/
    write  : whether to write the page, besides printing
    """

    def __init__(self, script: str, page: str, write: bool) -> None:
        self._script, self._page, self._write = script, ROOT / "docs" / page, write
        self._load, self._start = os.getloadavg()[0], time.monotonic()

    def end(self, how: str, figures: Sequence[Figure]) -> None:
        """Print the figures, and write them.

        how : a sentence that says what was measured
        """
        rows = [figure_row(figure) for figure in figures]
        text = "\n".join([*table(["what", "median", "quartiles", "target", "met"], rows), ""])
        text += f"\n{how} `python benchmarks/{self._script}`, {self._about()}"
        print(text, flush=True)
        if self._write:
            replace(self._page, self._script, text)

    def _about(self) -> str:
        name, dirty, _ = commit().partition("-dirty")
        return (
            f"{datetime.now(UTC):%Y-%m-%d}, commit `{name[:12]}{dirty}`, "
            f"{environment()['CPU']}, {time.monotonic() - self._start:.0f} s. "
            f"Load of the machine before it: {self._load:.2f}."
        )


def add_print(parser: argparse.ArgumentParser) -> None:
    """Add the option that writes no page."""
    parser.add_argument("--print", action="store_true", help="print only, and write no page")
