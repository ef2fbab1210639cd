"""Run random cartridges and damaged states on the console's C code, compiled with sanitizers.

    python benchmarks/fuzz_console.py --seconds 600

Ends with the seed and the sanitizer's report when something leaves its memory, overflows, hangs, or
when the interpreter and single steps differ. `--first-seed` runs that seed again.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from shared import load

from fastpong.settings.config import available_cores

SEEDS_APART = 1_000_000_000

fuzzing = load("fuzzing")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=available_cores())
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        program = fuzzing.build(Path(directory))
        if program is None:
            sys.exit("expected a C compiler with -fsanitize=address, got none: install gcc")
        seeds = [given.first_seed + k * SEEDS_APART for k in range(given.workers)]
        with ThreadPoolExecutor(given.workers) as pool:
            runs = [pool.submit(fuzzing.run, program, given.seconds, seed) for seed in seeds]
            for seed, run in zip(seeds, runs, strict=True):
                print(f"from seed {seed}: {run.result()}")


if __name__ == "__main__":
    main()
