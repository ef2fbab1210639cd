"""Scripts of benchmarks/ find the marks for their figures on the pages of docs/."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from marked import END, Marked, begin, marked, replace
from measure import ROOT, Figure

PAGES = {
    "board_cost.py": "report-and-board.md",
    "eval_cost.py": "sweeps.md",
    "first_picture.py": "watching.md",
    "watch_cost.py": "watching.md",
    "faults.py": "reliability.md",
}


@pytest.mark.parametrize(("script", "page"), PAGES.items())
def test_every_script_has_a_place_for_its_figures(script: str, page: str) -> None:
    text = (ROOT / "docs" / page).read_text()
    assert text.count(begin(script)) == 1
    assert marked(ROOT / "docs" / page, script)
    program = (ROOT / "benchmarks" / script).read_text()
    assert script == "faults.py" or f'Marked("{script}", "{page}"' in program


def test_figures_replace_those_before_and_nothing_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        f"above\n{begin('a.py')}\nold\n{END}\nbetween\n{begin('b.py')}\nb\n{END}\nend\n"
    )
    Marked("a.py", str(page), True).end("How.", [Figure("speed", 2.0, "s", 1.0, 3.0, at_most=4.0)])
    text = page.read_text()
    assert "| speed | 2 s | 1 to 3 | ≤ 4 | yes |" in text and "old" not in text
    assert re.search(r"\nHow\. `python benchmarks/a\.py`, \d{4}-\d\d-\d\d, commit `", text)
    assert text.startswith("above\n") and text.endswith(
        f"{END}\nbetween\n{begin('b.py')}\nb\n{END}\nend\n"
    )
    assert marked(page, "b.py") == "b"
    before = page.read_text()
    Marked("a.py", str(page), False).end("Other.", [Figure("speed", 9.0)])
    assert page.read_text() == before and "Other." in capsys.readouterr().out


def test_a_page_without_marks_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("words\n")
    with pytest.raises(ValueError, match=r"page\.md: expected the marks <!-- figures: python"):
        replace(page, "a.py", "figures")
    assert page.read_text() == "words\n"
