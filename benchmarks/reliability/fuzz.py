"""Fuzzers of tests/support, each in a process of its own: a crash or a hang is one of its answers.

python benchmarks/reliability/fuzz.py MODULE FUNCTION SECONDS SEED
"""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from shared import SUPPORT, load

MODULES = ("fuzz_files", "fuzz_kernels")
PATIENCE_SECONDS = 120.0


def fuzzers() -> list[tuple[str, str]]:
    """Return the fuzzers as (module, function): ``fuzz_NAME(seconds, seed)``, a number of cases."""
    _find_support()
    return [
        (module, name)
        for module in MODULES
        if (SUPPORT / f"{module}.py").exists()
        for name, _ in inspect.getmembers(load(module), inspect.isfunction)
        if re.fullmatch(r"fuzz_\w+", name)
    ]


def fuzz(module: str, function: str, seconds: float, seed: int) -> tuple[int, str | None]:
    """Run a fuzzer, and return the number of its cases, and a fault or None."""
    command = [sys.executable, "-P", "-X", "faulthandler", str(Path(__file__).resolve())]
    words = [module, function, f"{seconds:g}", f"{seed}"]
    try:
        done = subprocess.run(
            [*command, *words], capture_output=True, text=True, timeout=seconds + PATIENCE_SECONDS
        )
    except subprocess.TimeoutExpired:
        return 0, f"{' '.join(words)}: it hangs"
    if done.returncode:
        return 0, f"{' '.join(words)}: exit status {done.returncode}\n{done.stderr[-3000:]}"
    return int(done.stdout.split()[-1]), None


def _find_support() -> None:
    if str(SUPPORT) not in sys.path:  # its modules import each other
        sys.path.append(str(SUPPORT))


if __name__ == "__main__":
    _find_support()
    asked = sys.argv[1:]
    print(getattr(load(asked[0]), asked[1])(float(asked[2]), int(asked[3])))
