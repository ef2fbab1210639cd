"""What the benchmark files share: effort, figures at the end."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import pytest
from measure import Effort, Figure, Report

_FIGURES = pytest.StashKey[list[Figure]]()
_QUICK = bool(os.environ.get("FASTPONG_BENCHMARK_QUICK"))


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Run every line once and measure nothing, where FASTPONG_BENCHMARK_QUICK is set."""
    if _QUICK:
        config.option.benchmark_min_rounds = 1
        config.option.benchmark_max_time = 0.0
        config.option.benchmark_warmup = False
        config.option.benchmark_disable_gc = True


@pytest.fixture(scope="session")
def effort() -> Effort:
    """How long to measure."""
    return "quick" if _QUICK else "normal"


@pytest.fixture
def show(request: pytest.FixtureRequest) -> Callable[[Report], None]:
    """Keep a report's figures for the end of the run; pytest-benchmark prints times only."""
    kept = request.config.stash.setdefault(_FIGURES, [])
    return lambda report: kept.extend(report.figures)


@pytest.fixture
def against_bare(benchmark: Any, effort: Effort, show: Callable[[Report], None]) -> Any:
    """Measure training with some settings against bare emulators, and show the ratios."""
    from claims import throughput

    def measure(
        settings: Mapping[str, str],
        workers: int,
        at_least: Mapping[int, float] = MappingProxyType({}),
    ) -> None:
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
        target = f"   target {figure.target}" if figure.target else ""
        terminalreporter.line(f"{figure.what}: {figure.value:.3g} {figure.unit}{target}")
