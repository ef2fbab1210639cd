"""Compare the console with ALE: ``python -m fastpong.console coverage``."""

from __future__ import annotations

import argparse
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from fastpong.console.cartridge import load_rom, rom_names
from fastpong.console.coverage import compare, document
from fastpong.settings.config import available_cores

OUTPUT = Path("docs/console-coverage.md")


def arguments() -> argparse.Namespace:
    """Return the command line's."""
    parser = argparse.ArgumentParser(prog="python -m fastpong.console", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    coverage = commands.add_parser("coverage", help="run ale_py's ROMs in lockstep with ale_py")
    coverage.add_argument("roms", nargs="*", metavar="ROM", help="of ale_py, by default all")
    coverage.add_argument("--frames", type=int, default=2000, help="of each (default: 2000)")
    coverage.add_argument("--output", type=Path, help=f"by default {OUTPUT} if all ROMs are run")
    return parser.parse_args()


def main() -> None:
    """Run the command."""
    given = arguments()
    output = given.output or (None if given.roms else OUTPUT)
    try:
        for name in given.roms:
            load_rom(name)
        if given.frames < 1:
            raise ValueError(f"--frames: expected 1 or more, got {given.frames}")
        if output is not None and not output.parent.is_dir():
            raise ValueError(f"--output: expected a file in a directory that exists, got {output}")
    except ValueError as error:
        raise SystemExit(f"python -m fastpong.console: error: {error}") from error
    results = []
    with ProcessPoolExecutor(available_cores()) as pool:
        run = partial(compare, frames=given.frames)
        for result in pool.map(run, given.roms or rom_names()):
            verdict = result.obstacle or ("equal" if result.equal else "differs")
            print(f"{result.name:20s} {verdict}", flush=True)
            results.append(result)
    text = document(results, given.frames)
    if output is None:
        print(text)
    else:
        output.write_text(text)
        print(f"wrote {output}")


if __name__ == "__main__":
    main()
