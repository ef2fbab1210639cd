"""Measure all claims, or those named, and write docs/results.md and docs/results.json.

    python benchmarks/results.py                      all, about 36 minutes on an idle machine
    python benchmarks/results.py throughput kernels   these; the other sections stay as they are

Each claim is measured in a process of its own. Nothing else should run meanwhile; the load of the
machine at the beginning of each claim is written down beside its figures.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import json
import os
import platform
import re
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from measure import ROOT, Effort, Figure

CLAIMS = (
    "console", "throughput", "reference", "step", "kernels", "calls", "returns", "optimizers",
    "atari", "wrappers", "agents", "replay", "startup", "memory", "conv", "keras", "ppo", "dqn",
    "limits",
)  # fmt: skip
"""Modules of claims/ with ``measure(effort)``; each has its bench_<name>.py."""

LIMIT_SECONDS = 7200.0
"""Of a claim. Those that need no quiet machine may run on a busy one."""

HEADING = """\
# Measured

Written by `python benchmarks/results.py`; edit the benchmarks and not this file. Every claim is
checked for correct results before it is timed. What is compared is measured in turn, A B A B ...,
in one run; figures are medians of the rounds, with the quartiles beside them.
`pytest --benchmark-only` measures the same more briefly.
"""


def environment() -> dict[str, str]:
    """Return what the figures depend on besides the code."""
    from fastpong.settings.config import available_cores
    from fastpong.storage.versions import versions

    found = versions("cython")
    packages = ("numpy", "numba", "cython", "ale-py", "gymnasium")
    return {
        "CPU": f"{found['cpu']}, {available_cores()} cores used",
        "system": str(found["platform"]),
        "python": f"{platform.python_version()} ({platform.python_compiler()})",
        **{name: str(found[name]) for name in packages},
        "compiler of the kernels": compiler(),
    }


def compiler() -> str:
    """Return the compiler that the extension names in itself."""
    from fastpong import _kernels

    names = re.findall(rb"GCC: \([^\0]*|clang version [^\0]*", Path(_kernels.__file__).read_bytes())
    return ", ".join(sorted({name.decode(errors="replace").strip() for name in names})) or "unknown"


def commit() -> str:
    """Return the commit of the checkout, with -dirty if more than documents changed."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(ROOT), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        paths = ("--", ".", ":!docs")
        changed = git("status", "--porcelain", "--untracked-files=no", *paths)
        return git("rev-parse", "HEAD") + ("-dirty" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def measure_here(name: str, effort: Effort) -> dict[str, Any]:
    """Measure a claim in this process; return its report and circumstances, plain data."""
    load, start = os.getloadavg()[0], time.monotonic()
    report = importlib.import_module(f"claims.{name}").measure(effort)
    return {
        "report": dataclasses.asdict(report),
        "effort": effort,
        "seconds": round(time.monotonic() - start, 1),
        "load": round(load, 2),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "environment": environment(),
    }


def measure_apart(name: str, effort: Effort) -> dict[str, Any]:
    """Measure a claim in a fresh process."""
    command = [sys.executable, str(Path(__file__).resolve()), name, "--effort", effort, "--print"]
    output = subprocess.run(
        command, stdout=subprocess.PIPE, text=True, check=True, timeout=LIMIT_SECONDS
    ).stdout
    result: dict[str, Any] = json.loads(output.splitlines()[-1])
    return result


# --- writing ------------------------------------------------------------------------------------


def table(header: list[str], rows: list[list[str]]) -> list[str]:
    """Return a Markdown table; all columns but the first are right-aligned."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return [f"| {' | '.join(line)} |" for line in lines]


def number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def figure_row(figure: Figure) -> list[str]:
    spread = "" if figure.low is None else f"{number(figure.low)} to {number(figure.high or 0.0)}"
    verdict = {None: "", True: "yes", False: "no"}[figure.met]
    value = f"{number(figure.value)} {figure.unit}".strip()
    return [figure.what, value, spread, figure.target, verdict]


def section(name: str, result: dict[str, Any]) -> list[str]:
    """Return a claim's part of the document."""
    report = result["report"]
    lines = [f"## {report['title']}", ""]
    lines += table(
        ["what", "median", "quartiles", "target", "met"],
        [figure_row(Figure(**figure)) for figure in report["figures"]],
    )
    lines += ["", report["how"], ""]
    for part in report["tables"]:
        lines += [f"**{part['title']}**", "", *table(part["header"], part["rows"]), ""]
    lines += [
        f"`python benchmarks/results.py {name}`, or `pytest --benchmark-only "
        f"benchmarks/bench_{name}.py`. Measured {result['date']} at commit `{result['commit']}` "
        f"in {result['seconds']:.0f} s; load of the machine before it: {result['load']}."
        + ("" if result["effort"] == "full" else f" **Effort: {result['effort']}.**"),
        "",
    ]
    return lines


def document(results: dict[str, Any]) -> str:
    """Return results.md."""
    ordered = {name: results[name] for name in CLAIMS if name in results}
    summary = [
        figure_row(Figure(**figure))
        for result in ordered.values()
        for figure in result["report"]["figures"]
        if figure["at_least"] is not None or figure["at_most"] is not None
    ]
    lines = [HEADING, *table(["what", "median", "quartiles", "target", "met"], summary), ""]
    machines = {json.dumps(result["environment"]) for result in ordered.values()}
    for machine in sorted(machines):
        names = [n for n, r in ordered.items() if json.dumps(r["environment"]) == machine]
        of = "" if len(machines) == 1 else f" ({', '.join(names)})"
        lines += [*table([f"measured on{of}", ""], [[*x] for x in json.loads(machine).items()]), ""]
    for name, result in ordered.items():
        lines += section(name, result)
    return "\n".join(lines).rstrip() + "\n"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("claims", nargs="*", metavar="CLAIM", help=f"of {', '.join(CLAIMS)}")
    parser.add_argument("--effort", choices=("quick", "normal", "full"), default="full")
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "results.md")
    parser.add_argument("--print", action="store_true", help="print one claim's numbers as JSON")
    given = parser.parse_args()
    for name in given.claims:
        if name not in CLAIMS:
            parser.error(f"expected a claim of {', '.join(CLAIMS)}, got {name}")
    return given


def main() -> None:
    given = arguments()
    if given.print:
        print(json.dumps(measure_here(given.claims[0], given.effort)))
        return
    numbers = given.output.with_suffix(".json")
    results = json.loads(numbers.read_text()) if numbers.exists() else {}
    for name in given.claims or CLAIMS:
        print(f"measuring {name} ...", end=" ", flush=True)
        results[name] = measure_apart(name, given.effort)
        print(f"{results[name]['seconds']:.0f} s", flush=True)
        # After each claim: a failure of a later one does not lose what has been measured.
        given.output.parent.mkdir(parents=True, exist_ok=True)
        numbers.write_text(json.dumps(results, indent=1) + "\n")
        given.output.write_text(document(results))


if __name__ == "__main__":
    main()
