"""Kill, damage and exhaust fastpong on purpose, and write what came of it into docs/reliability.md.

    python benchmarks/faults.py                     all parts, about two hours on two cores
    python benchmarks/faults.py kills --count 100   trainings are killed so often, and resumed
    python benchmarks/faults.py bits                every bit of a checkpoint is flipped
    python benchmarks/faults.py soak --minutes 30   long trainings: nothing may grow
    python benchmarks/faults.py fuzz --minutes 10   random files and arguments for every loader
    python benchmarks/faults.py sanitize            kernels and console under sanitizers

Every fault is a real one: processes, signals, files. The modules of reliability/ say what is
checked. Resumable: what is done stands in docs/reliability.json, and goes on there while the code
of fastpong is the same. Other work on the machine does no harm, but takes time. Ends with exit
status 1 after a fault, with the directory where to look and the number to repeat it:

    python benchmarks/faults.py kills --trial 137
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import json
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from measure import ROOT
from reliability import bits, fuzz, page, soak
from reliability.kills import Record, Trials
from reliability.plan import Trial
from reliability.trainings import AGENTS, Training
from results import commit

from fastpong.storage import files

NUMBERS = ROOT / "docs" / "reliability.json"
AT_ONCE = 2
BITS_AT_ONCE = 20_000

Result = dict[str, Any]


def source() -> str:
    """Return what identifies the code of fastpong: figures of other code are not gone on with."""
    command = ["git", "-C", str(ROOT), "rev-parse", "HEAD:fastpong"]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.stdout.strip() + "-dirty" * commit().endswith("-dirty")


def read(part: str) -> Result:
    """Return what has been done of a part, with this code."""
    numbers = json.loads(NUMBERS.read_text()) if NUMBERS.exists() else {}
    found: Result = numbers.get(part, {})
    same = found.get("source") == source()
    return found if same else {"source": source(), "commit": commit(), "faults": []}


def write(part: str, result: Result) -> None:
    """Keep what has been done of a part."""
    numbers = json.loads(NUMBERS.read_text()) if NUMBERS.exists() else {}
    numbers[part] = result | {"date": datetime.now(UTC).date().isoformat()}
    files.write_atomically(NUMBERS, (json.dumps(numbers, indent=1) + "\n").encode())
    page.write(numbers)


# --- parts ----------------------------------------------------------------------------------------


def kills(given: argparse.Namespace, directory: Path) -> list[str]:
    """Kill trainings until so many blows have met a living process."""
    result = read("kills")
    trials = Trials(directory)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        while landed(result) < given.count and not result["faults"]:
            first = result.get("next", 0)
            made = [Trial.of(number) for number in range(first, first + 6 * AT_ONCE)]
            for trial, record in zip(made, pool.map(trials.carry_out, made), strict=True):
                count_kills(result, trial, record)
                result["next"] = trial.number + 1
                write("kills", result)
                print(f"kills: {landed(result)} in {result['next']} trainings", flush=True)
    return list(result["faults"])


def landed(result: Result) -> int:
    """Return the blows that have met a living process."""
    return sum(result.get("phase", {}).values())


def count_kills(result: Result, trial: Trial, record: Record) -> None:
    """Add what came of a trial."""
    for blow in record.landed:
        words = {"phase": blow.phase, "blow": f"{blow.target}, {blow.name}"}
        words |= {name: getattr(trial.training, name) for name in ("agent", "emulator", "method")}
        for name, word in words.items():
            tally = collections.Counter(result.get(name, {}))
            tally[word] += 1
            result[name] = dict(tally)
    result["writing"] = result.get("writing", 0) + record.writing
    if record.orphans > result.setdefault("orphans", 0.0):
        result["orphans"] = round(record.orphans, 2)
        result["last"] = f"{record.last}, trial {trial.number}"
    result["faults"] += record.faults


def flips(given: argparse.Namespace, directory: Path) -> list[str]:
    """Flip every bit of a small checkpoint for the loader, and some bits for the command."""
    result = read("bits")
    run = bits.make_run(bits.SMALLEST, directory / "bits")
    found = bits.Flips(*(result.get(name, 0) for name in ("refused", "passed", "commands")))
    total = bits.count_bits(run)
    while (first := result.get("next", 0)) < total and not found.faults:
        wanted = iter(range(first, min(total, first + BITS_AT_ONCE)))
        bits.flip_bits(run, wanted, found)
        result |= dataclasses.asdict(found) | {"bits": total, "next": first + BITS_AT_ONCE}
        write("bits", result)
        print(f"bits: {min(first + BITS_AT_ONCE, total):,} of {total:,}", flush=True)
    if found.commands < given.count // 10 and not found.faults:
        bits.flip_for_commands(directory, given.count // 10 - found.commands, found.commands, found)
    write("bits", result | dataclasses.asdict(found) | {"bits": total})
    return found.faults


def soaking(given: argparse.Namespace, directory: Path) -> list[str]:
    """Watch a long training of each agent."""
    result = read("soak")
    agents = result.setdefault("agents", {})
    seconds = 60 * given.minutes / len(AGENTS)
    for agent in AGENTS:
        if agents.get(agent, {}).get("seconds", 0) < 0.99 * seconds:
            found = soak.soak(Training(agent, "console"), seconds, directory)
            agents[agent] = dataclasses.asdict(found)
            result["faults"] += [f"{agent}: {fault}" for fault in found.faults]
            write("soak", result)
            print(f"soak: {agent}, {found.episodes:,} episodes, grown {found.growth}", flush=True)
    return list(result["faults"])


def fuzzing(given: argparse.Namespace, directory: Path) -> list[str]:
    """Give every fuzzer its share of the time."""
    result = read("fuzz")
    done = result.setdefault("fuzzers", {})
    fuzzers = fuzz.fuzzers()
    if not fuzzers:
        sys.exit(f"expected fuzzers in tests/support, {', '.join(fuzz.MODULES)}, found none")
    seconds = 60 * given.minutes / len(fuzzers)
    for module, name in fuzzers:
        if done.get(name, {}).get("seconds", 0) < seconds:
            cases, fault = fuzz.fuzz(module, name, seconds, given.seed)
            done[name] = {"seconds": seconds, "cases": cases}
            result["faults"] += [fault] if fault else []
            write("fuzz", result)
            print(f"fuzz: {name}, {cases:,} cases", flush=True)
    return list(result["faults"])


def sanitizing(given: argparse.Namespace, directory: Path) -> list[str]:
    """Run the kernels' tests under sanitizers."""
    command = ROOT / ".ci" / "sanitize"
    if not command.exists():
        sys.exit(f"expected {command}, found none")
    done = subprocess.run(
        [str(command)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    lines = [line for line in done.stdout.splitlines() if line.strip()]
    faults = ["\n".join(lines[-40:])] if done.returncode else []
    counted = [line.strip("= ") for line in lines if re.search(r" passed|: \d+ inputs$", line)]
    write("sanitize", read("sanitize") | {"closing": "; ".join(counted), "faults": faults})
    return faults


PARTS: dict[str, Callable[[argparse.Namespace, Path], list[str]]] = {
    "kills": kills, "bits": flips, "soak": soaking, "fuzz": fuzzing, "sanitize": sanitizing,
}  # fmt: skip


def repeat(number: int, directory: Path) -> list[str]:
    """Carry one trial out again."""
    trial = Trial.of(number)
    print(f"{trial.training}\n" + "\n".join(map(str, trial.blows)), flush=True)
    return Trials(directory).carry_out(trial).faults


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--count", type=int, default=1000,
                        help="kills; a tenth as many commands meet a flipped bit")  # fmt: skip
    parser.add_argument("--minutes", type=float, default=30, help="of soak, and of fuzzing")
    parser.add_argument("--seed", type=int, default=0, help="of the fuzzers")
    parser.add_argument("--trial", type=int, metavar="NUMBER", help="repeat this one alone")
    given = parser.parse_args()
    if unknown := set(given.parts) - set(PARTS):
        parser.error(f"expected parts of {', '.join(PARTS)}, got {', '.join(sorted(unknown))}")
    # In a background job or under nohup they are ignored, and children inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # trials under way are ended first
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    directory = Path(tempfile.mkdtemp(prefix="faults-"))
    if given.trial is not None:
        faults = repeat(given.trial, directory)
    else:
        faults = [fault for part in given.parts or PARTS for fault in PARTS[part](given, directory)]
    if faults:
        sys.exit("\n".join(faults))
    shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
