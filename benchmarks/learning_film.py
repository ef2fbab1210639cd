"""Film how a run gets better: its agent after 0, 5, 10 and 15 s of training, side by side.

    python benchmarks/learning_film.py --seed 0 --marks 0 5 10 15 -o docs/figures/learning.gif

trains the recipe pong, keeps the checkpoint nearest to each mark, and makes the film of README.
The captions have the checkpoints' own times. Run it on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measure import fastpong_command, plain_environment

POLL_SECONDS = 0.02


def follow(run: Path, kept: Path, training: subprocess.Popen[bytes]) -> dict[Path, float]:
    """Keep every checkpoint of a running training; return their manifests and wall seconds."""
    found: dict[Path, float] = {}
    while True:
        running = training.poll() is None
        for manifest in run.glob("checkpoints/*.json"):
            copy = kept / manifest.name
            if copy in found:
                continue
            try:
                fields = json.loads(manifest.read_bytes())
                os.link(manifest.with_name(fields["data"]["file"]), kept / fields["data"]["file"])
                os.link(manifest, copy)
            except FileNotFoundError:  # training has deleted it meanwhile
                continue
            found[copy] = float(fields["counters"]["wall_seconds"])
        if not running:
            return found
        time.sleep(POLL_SECONDS)


def nearest(found: dict[Path, float], marks: list[float]) -> list[Path]:
    """Return the checkpoint nearest to each mark."""
    return [min(found, key=lambda path: abs(found[path] - mark)) for mark in marks]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--recipe", default="pong")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--marks", type=float, nargs="+", default=[0, 5, 10, 15], metavar="SECONDS")
    parser.add_argument("--save-every", type=int, default=4, metavar="EPISODES")
    parser.add_argument("--seconds", type=float, default=15, help="length of the film")
    parser.add_argument("-o", "--output", type=Path, required=True)
    asked = parser.parse_args()
    command, environment = fastpong_command(), plain_environment()
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".film-") as name:
        run, kept = Path(name) / "run", Path(name) / "kept"
        kept.mkdir()
        train = ["train", "--recipe", asked.recipe, "--seed", str(asked.seed), "--no-progress"]
        train += ["--save-every", str(asked.save_every), "--run-dir", str(run)]
        with subprocess.Popen([*command, *train], stdout=sys.stderr, env=environment) as training:
            found = follow(run, kept, training)
        chosen = nearest(found, asked.marks)
        captions = [f"--caption=after {found[path]:.0f} s" for path in chosen]
        video = ["video", *map(str, chosen), *captions, "-o", str(asked.output)]
        video += ["--seconds", str(asked.seconds), "--scale", "1"]
        return subprocess.run([*command, *video], env=environment).returncode


if __name__ == "__main__":
    sys.exit(main())
