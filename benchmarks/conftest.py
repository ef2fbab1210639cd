"""What the benchmark files share: helper modules on the path, effort, figures at the end."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

# --import-mode=importlib leaves sys.path alone. At its end: names of the tests' helpers win.
sys.path.append(str(Path(__file__).parent))

from measure import Effort, Figure, Report

_FIGURES = pytest.StashKey[list[Figure]]()
# --benchmark-max-time below this asks for one untimed pass.
_QUICK_SECONDS = 0.1


@pytest.fixture(scope="session")
def effort(request: pytest.FixtureRequest) -> Effort:
    """How long to measure: as briefly as can be where --benchmark-max-time says so."""
    brief = float(request.config.getoption("benchmark_max_time")) < _QUICK_SECONDS
    return "quick" if brief else "normal"


@pytest.fixture
def show(request: pytest.FixtureRequest) -> Callable[[Report], None]:
    """Keep a report's figures for the end of the run; pytest-benchmark prints times only."""
    kept = request.config.stash.setdefault(_FIGURES, [])
    return lambda report: kept.extend(report.figures)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    figures = terminalreporter.config.stash.get(_FIGURES, [])
    if figures:
        terminalreporter.section("figures")
    for figure in figures:
        asked = f"   asked {figure.asked}" if figure.asked else ""
        terminalreporter.line(f"{figure.what}: {figure.value:.3g} {figure.unit}{asked}")
