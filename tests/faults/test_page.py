"""The page of promises names tests that exist, and shows the figures that were written down."""

from __future__ import annotations

import ast
import json
import re

from marked import marked
from measure import ROOT
from reliability import page

NAMED = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")


def test_every_test_that_the_page_names_exists() -> None:
    named = NAMED.findall(page.PAGE.read_text())
    assert len(named) > 20
    for path, name in named:
        assert (ROOT / path).is_file(), path
        tree = ast.parse((ROOT / path).read_text())
        functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        assert not name or name in functions, f"{path}::{name}"


def test_the_figures_are_those_of_the_numbers() -> None:
    numbers = json.loads((ROOT / "docs" / "reliability.json").read_text())
    assert marked(page.PAGE, page.SCRIPT) == page.figures(numbers).strip()
    assert all(result["faults"] == [] for result in numbers.values())
