"""Run the commands that README.md and docs/ name, as they stand there.

    python .ci/commands.py setup     README's first shell block: install and train
    python .ci/commands.py test      its second: install and test
    python .ci/commands.py rest      all other shell blocks, and what pages name in their text

The lines of a page run in order, in a clone of the checkout that is the page's own, with the PATH
of the caller. A training has no end of its own here: Ctrl-C comes some seconds after its first
episode, and must leave a checkpoint. Commands in the text of a page are not run, but the command
and the options that they name must exist.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TRAINING_SECONDS = 15.0
LINE_SECONDS, TEST_SECONDS, PATIENCE_SECONDS = 900.0, 3600.0, 60.0

NOT_HERE = {
    r"git clone\b": "the gate has cloned",
    r"(python|python3) -m venv\b|\. \.venv/": "the gate has made an environment",
    r"fastpong play\b": "a person watches it on a terminal",
    r"fastpong board\b": "it runs until Ctrl-C",
    r"tensorboard\b": "not in the test extra",
    r"fastpong train .*--track": "wandb and mlflow are not in the test extra",
    r"pytest( -n \d+)?$": "README's second block has run it",
    r"\.ci/run\b": "that is the gate itself",
    r"pip install .*\[(compare|dev)\]": "PyTorch is large; the gate installs dev by itself",
    r"ray (start|stop|status)\b|fastpong train .*--pool|ssh\b": "a cluster; .ci/ray has one",
    r"pip install .*\[ray\]": "Ray is large",
    r"python benchmarks/": "hours on an idle machine",
}
"""Beginning of a line -> why it does not run."""

RECORDS = (
    "lockstep.md", "recipe-trials.md", "results.md", "side-by-side.md", "time-to-goal.md",
    "time-to-solve.md",
)  # fmt: skip
"""Pages that a benchmark has written; they name what it ran at another commit."""

SHELL_BLOCK = re.compile(r"^```(?:sh|bash|shell|console)\n(.*?)^```", re.S | re.M)
BLOCK = re.compile(r"^```.*?^```", re.S | re.M)
PROMPT = re.compile(r"^\$ (.*)$", re.M)
NAMED = re.compile(r"`((?:fastpong|python benchmarks/\w+\.py)\s[^`]+)`")


@dataclass(frozen=True)
class Outcome:
    """How a line ended. ``trained``: it was a training, ended by Ctrl-C or before."""

    status: int
    output: str
    trained: bool
    interrupted: bool
    late: bool


# --- pages --------------------------------------------------------------------------------------


def pages() -> list[Path]:
    """Return the files that name commands."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def shell_blocks(page: Path) -> list[list[str]]:
    """Return the lines of every shell block, without prompts, continued lines joined."""
    return [
        [line.removeprefix("$ ").strip() for line in block.splitlines() if line.strip()]
        for block in (b.replace("\\\n", " ") for b in SHELL_BLOCK.findall(page.read_text()))
    ]


def named(page: Path) -> set[str]:
    """Return the commands in a page's text and in its pictures of a terminal."""
    if page.name in RECORDS:
        return set()
    text = page.read_text()
    shown = [line for block in BLOCK.findall(text) for line in PROMPT.findall(block)]
    found = {" ".join(span.split()) for span in NAMED.findall(BLOCK.sub("", text))}
    return found | {line.strip() for line in shown if line.startswith("fastpong ")}


def reason_not_to_run(line: str) -> str | None:
    """Return why a line does not run here, or None."""
    return next((why for start, why in NOT_HERE.items() if re.match(start, line)), None)


# --- a line -------------------------------------------------------------------------------------


def run(line: str, cwd: Path, seconds: float) -> Outcome:
    """Run a line in a shell; interrupt a training, and kill what takes too long."""
    begun, ends, first_episode = time.time(), time.monotonic() + seconds, None
    interrupted = late = False
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(
            ["bash", "-c", line], cwd=cwd, stdin=subprocess.DEVNULL, stdout=output,
            stderr=subprocess.STDOUT, start_new_session=True, preexec_fn=_hear_interrupts,
        )  # fmt: skip
        while process.poll() is None and not late:
            time.sleep(0.1)
            if first_episode is None and _written(cwd, "metrics.csv", begun):
                first_episode = time.monotonic()
            if first_episode and not interrupted:
                interrupted = time.monotonic() - first_episode > TRAINING_SECONDS
                if interrupted:  # the terminal's Ctrl-C reaches the whole group, too
                    os.killpg(process.pid, signal.SIGINT)
                    ends = time.monotonic() + PATIENCE_SECONDS
            late = time.monotonic() > ends
        if late:
            os.killpg(process.pid, signal.SIGKILL)
        status = process.wait(PATIENCE_SECONDS)
        output.seek(0)
        return Outcome(status, output.read(), first_episode is not None, interrupted, late)


def _hear_interrupts() -> None:
    # In a script's background job SIGINT is ignored, and children inherit that.
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _written(cwd: Path, name: str, begun: float) -> bool:
    """Return whether a run has such a file with a line below its heading, or any, since then."""
    files = [path for path in cwd.glob(f"runs/**/{name}") if path.stat().st_mtime >= begun]
    return any(path.suffix != ".csv" or path.read_text().count("\n") > 1 for path in files)


def fault(outcome: Outcome, cwd: Path, begun: float) -> str | None:
    """Return what is wrong with how a line ended, or None."""
    if outcome.late:
        return "did not end in time"
    if outcome.status not in ((0, 130) if outcome.interrupted else (0,)):
        return f"exit status {outcome.status}"
    if "Traceback (most recent call last)" in outcome.output:
        return "a traceback"
    if outcome.trained and not _written(cwd, "checkpoints/*.json", begun):
        return "no checkpoint"
    return None


def passes(line: str, cwd: Path, seconds: float = LINE_SECONDS) -> bool:
    """Run a line, and say how it went."""
    begun = time.time()
    outcome = run(line, cwd, seconds)
    wrong = fault(outcome, cwd, begun)
    took = f"{time.time() - begun:.1f} s" + ", Ctrl-C" * outcome.interrupted
    print(f"  {'FAILED: ' + wrong if wrong else 'ok'} ({took}): {line}", flush=True)
    if not wrong and "pytest" in line:
        print("    | " + outcome.output.rstrip().rpartition("\n")[2], flush=True)
    if wrong:
        print("".join(f"    | {text}\n" for text in outcome.output.splitlines()[-40:]), flush=True)
    return not wrong


# --- what the gate runs -------------------------------------------------------------------------


def clone(directory: Path) -> Path:
    """Clone the checkout."""
    subprocess.run(["git", "clone", "-q", str(ROOT), str(directory)], check=True)
    return directory


def run_block(number: int, word: str, cwd: Path, seconds: float) -> list[str]:
    """Run a shell block of README; return the lines that failed."""
    lines = shell_blocks(ROOT / "README.md")[number]
    if not any(word in line for line in lines):
        sys.exit(f"expected {word!r} in README's shell block {number + 1}, got {lines}")
    return next(([line] for line in lines if not passes(line, cwd, seconds)), [])


def run_page(page: Path, blocks: list[list[str]], cwd: Path) -> list[str]:
    """Run a page's blocks, up to the first line that fails; return it."""
    for line in (line for block in blocks for line in block):
        if why := reason_not_to_run(line):
            print(f"  not run, {why}: {line}")
        elif not passes(line, cwd):
            return [f"{page.relative_to(ROOT)}: {line}"]
    return []


def misnamed(page: Path) -> list[str]:
    """Return a page's commands that do not exist, or not with these options."""
    found = []
    for command in sorted(named(page)):
        words = shlex.split(command.partition("#")[0])
        # Parsed before --help is answered: an unknown command or option fails, no value does.
        done = subprocess.run([*words, "--help"], cwd=ROOT, capture_output=True, text=True)
        if done.returncode:
            print(f"  FAILED to parse: {command}\n    | {done.stderr.strip()}")
            found.append(f"{page.relative_to(ROOT)}: {command}")
    return found


def run_rest(work: Path) -> list[str]:
    """Run all but README's first two blocks; return what failed."""
    failed = []
    for number, page in enumerate(pages()):
        blocks = shell_blocks(page)[2 if page.name == "README.md" and page.parent == ROOT else 0 :]
        if blocks or named(page):
            print(page.relative_to(ROOT), flush=True)
            failed += misnamed(page)
        if blocks:
            failed += run_page(page, blocks, clone(work / str(number)))
    return failed


def main() -> None:
    """Run a part; exit 1 if anything of it failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("part", choices=("setup", "test", "rest"))
    part = parser.parse_args().part
    with tempfile.TemporaryDirectory() as directory:
        work = Path(directory)
        if part == "setup":
            failed = run_block(0, "fastpong train", clone(work / "clone"), LINE_SECONDS)
        elif part == "test":
            failed = run_block(1, "pytest", clone(work / "clone"), TEST_SECONDS)
        else:
            failed = run_rest(work)
    if failed:
        sys.exit("failed:\n  " + "\n  ".join(failed))


if __name__ == "__main__":
    main()
