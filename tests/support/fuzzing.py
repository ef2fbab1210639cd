"""The fuzz of the console's C code: compiled with sanitizers, run in a process of its own."""

from __future__ import annotations

import os
import shlex
import subprocess
import sysconfig
from pathlib import Path

from waiting import PATIENCE

import fastpong.console

CORE = Path(fastpong.console.__file__).parent / "core"
HARNESS = Path(__file__).resolve().parent / "fuzz_console.c"

CHECKS = "address,bounds,shift,signed-integer-overflow,integer-divide-by-zero,bool,enum"
"""Those of -fsanitize that compile in 8 s. All of "undefined" takes 45 s."""


def compiler() -> list[str]:
    """Return the command of the C compiler that builds extensions."""
    return shlex.split(os.environ.get("CC") or str(sysconfig.get_config_var("CC") or "cc"))


def build(directory: Path) -> Path | None:
    """Compile the harness. Returns None where there is no compiler with sanitizers."""
    program = directory / "fuzz_console"
    sources = [str(HARNESS), *sorted(map(str, CORE.glob("*.c")))]
    flags = ["-O1", "-g", f"-fsanitize={CHECKS}", "-fno-sanitize-recover=all", "-w"]
    probe = directory / "probe.c"
    probe.write_text("int main(void) { return 0; }\n")
    for what, output in ([str(probe)], directory / "probe"), (sources, program):
        command = [*compiler(), *flags, f"-I{CORE}", *what, "-o", str(output)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
        except OSError:
            return None
        if done.returncode and what is sources:
            raise RuntimeError(f"{shlex.join(command)}:\n{done.stderr}")
        if done.returncode or (what is not sources and subprocess.run([str(output)]).returncode):
            return None
    return program


def run(program: Path, seconds: int, first_seed: int, cartridges: int | None = None) -> str:
    """Run the harness and return its last line.

    Raises RuntimeError with its report when it crashes, hangs or finds a difference.
    """
    command = [str(program), str(seconds), str(first_seed)]
    command += [] if cartridges is None else [str(cartridges)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 120)
    if done.returncode:
        raise RuntimeError(
            f"{shlex.join(command)}: expected exit status 0, got {done.returncode}\n"
            f"{done.stdout[-2000:]}{done.stderr[-6000:]}"
        )
    return done.stdout.strip().splitlines()[-1]
