"""What the benchmark files share: helper modules on the path, effort, figures at the end."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

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


@pytest.fixture
def against_bare(benchmark: Any, effort: Effort, show: Callable[[Report], None]) -> Any:
    """Measure training with some settings against bare emulators, and show the ratios."""
    import throughput

    def measure(settings: Mapping[str, str], workers: int, at_least: float | None = None) -> None:
        figures, _ = benchmark.pedantic(
            throughput.compare, (effort, (workers,), settings), {"at_least": at_least}, rounds=1
        )
        show(Report("", "", figures, []))
        assert all(figure.value > 0 for figure in figures)

    return measure


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    figures = terminalreporter.config.stash.get(_FIGURES, [])
    if figures:
        terminalreporter.section("figures")
    for figure in figures:
        asked = f"   asked {figure.asked}" if figure.asked else ""
        terminalreporter.line(f"{figure.what}: {figure.value:.3g} {figure.unit}{asked}")
