"""Fuzz of every reader of files: mutations of real files, by a seed.

Each ``fuzz_NAME(seconds, seed)`` goes on for so many seconds, or for one input at least, and
returns the number of inputs. A reader may take an input, or refuse it by its own error in one line
that names the file. Anything else is a fault, as is an input that takes longer than a minute or
more than 1 GiB of memory. The first fault ends it, and its input stays in a file that the error
names.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import io
import json
import random
import resource
import shutil
import signal
import tempfile
import time
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

import fastpong
from fastpong.board.metrics import GrowingMetrics, read_tail
from fastpong.settings.config import Config
from fastpong.storage import verified
from fastpong.storage.checkpoint import CheckpointError
from fastpong.storage.evaluations import NAME as EVALUATIONS
from fastpong.storage.evaluations import Evaluations, read_evaluations
from fastpong.storage.finding import find
from fastpong.storage.logs import cut_metrics
from fastpong.storage.manifest import signed
from fastpong.storage.run import Run, RunError
from fastpong.storage.sweep import Sweep, read_rows
from fastpong.storage.weights import exchange
from fastpong.storage.weights.pickle import ForeignError
from fastpong.training.evaluation import restore
from fastpong.training.session import Session
from fastpong.viewing.curves import PlotError, make_curve, read_record

SECONDS = 60
TRAINING_SECONDS = 110  # on a machine that does much else
BYTES = 1 << 30
MOST_WORDS = 3000

Random = random.Random


class Fault(AssertionError):
    """Report an input that a reader cannot stand."""


class _Late(BaseException):
    """End a reader that takes too long."""


# --- the loop -----------------------------------------------------------------------------------


def run_fuzz(
    name: str, seconds: float, seed: int, inputs: Iterator[bytes], suffix: str,
    read: Callable[[Path], object], refusals: tuple[type[Exception], ...],
) -> int:  # fmt: skip
    """Give a reader one input after the other, each as a file, and return their number."""
    end, count = time.monotonic() + seconds, 0
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / f"input{suffix}"
        for count, data in enumerate(inputs, 1):
            path.write_bytes(data)
            with faults_saved(f"{name}-{seed}-{count}{suffix}", data):
                guarded(functools.partial(read, path), refusals, f"{path.stem}.")
            if time.monotonic() > end:
                break
    return count


@contextlib.contextmanager
def faults_saved(name: str, data: bytes) -> Iterator[None]:
    """Save the input of a fault."""
    try:
        yield
    except Exception as error:
        place = Path(tempfile.gettempdir()) / f"fastpong-fault-{name}"
        place.write_bytes(data)
        raise Fault(f"{place}: {type(error).__name__}: {error}") from error


def guarded(
    read: Callable[[], object],
    refusals: tuple[type[Exception], ...],
    named: str,
    seconds: int = SECONDS,
) -> object:
    """Call a reader with a limit of time and memory.

    Returns None for an input that is refused, in one line that names it.
    """
    with _limited(seconds), warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        try:
            return read()
        except refusals as error:
            text = str(error)
            assert text and "\n" not in text and len(text) <= MOST_WORDS, f"message {text[:5000]!r}"
            assert named in text, f"message without {named}: {text!r}"
            return None
        except _Late as late:
            raise AssertionError(f"expected an end within {seconds} s, got none") from late
        finally:
            numeric = [str(w.message) for w in heard if issubclass(w.category, RuntimeWarning)]
            assert not numeric, f"warnings {numeric[:3]}"


@contextlib.contextmanager
def _limited(seconds: int) -> Iterator[None]:
    """Limit time, and memory beyond what there is now."""

    def late(number: int, frame: FrameType | None) -> None:
        raise _Late

    before = resource.getrlimit(resource.RLIMIT_AS)
    now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    handler = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    resource.setrlimit(resource.RLIMIT_AS, (now + BYTES, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
        signal.alarm(0)
        signal.signal(signal.SIGALRM, handler)


# --- mutations ----------------------------------------------------------------------------------

_WORDS = (
    b"nan", b"inf", b"-1", b"1e308", b"1e999", b"0", b"9" * 5000, b"0x" + b"f" * 5000, b"[", b"{",
    b'"', b"\n", b",", b"[" * 3000, b"a." * 3000, b"'''", b"=", b"\x00", b"\xef\xbb\xbf", b"true",
    b"18446744073709551616", b"1_000", b"#",
)  # fmt: skip
_BYTES = (0, 1, 0x7F, 0x80, 0xFF)


def mutations(rng: Random, files: list[bytes], *, words: bool = False) -> Iterator[bytes]:
    """Yield the files, then mutations of them without end."""
    yield from files
    while True:
        data = bytearray(rng.choice(files))
        for _ in range(rng.choice((1, 1, 1, 2, 4, 16))):
            _mutate(rng, data, files, words)
        yield bytes(data)


def _mutate(rng: Random, data: bytearray, files: list[bytes], words: bool) -> None:
    # Headers decide most, and half of all mutations go there.
    size = len(data) if rng.random() < 0.5 else min(len(data), 512)
    at = rng.randrange(size + 1)
    length = min(rng.choice((1, 2, 4, 8, 64, 1024)), len(data) - at)
    kind = rng.randrange(8 if words else 7)
    if kind == 0 and at < len(data):
        data[at] ^= 1 << rng.randrange(8)
    elif kind == 1 and at < len(data):
        data[at] = rng.choice(_BYTES)
    elif kind == 2:
        del data[at : at + length]
    elif kind == 3:
        data[at:at] = data[at : at + length]
    elif kind == 4:
        data[at : at + length] = rng.randbytes(length)
    elif kind == 5:
        del data[at:]
    elif kind == 6:
        other = rng.choice(files)
        data[at : at + length] = other[at : at + length]
    else:
        data[at : at + rng.choice((0, length))] = rng.choice(_WORDS)


def _nested(depth: int) -> Any:
    value: Any = 0
    for _ in range(depth):
        value = [value]
    return value


_VALUES: tuple[Any, ...] = (
    None, True, "", "x", "../x", "nan", -1, 0, 1, 2**31, 2**53, 2**63, 10**400, 0.5, -0.0, 1e308,
    5e-324, [], {}, [[]], {"a": {}}, [0] * 101, [None], [1e308], "x" * 100_000, _nested(200),
)  # fmt: skip


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the places of all values inside a value of JSON."""
    items = value.items() if isinstance(value, dict) else ()
    items = enumerate(value[:3]) if isinstance(value, list) else items
    for name, inner in items:
        yield (*at, name)
        yield from places(inner, (*at, name))


def changed(value: Any, at: tuple[Any, ...], change: Callable[[Any, Any], None]) -> Any:
    """Return a copy with a change made where a path leads."""
    made = copy.deepcopy(value)
    inner = made
    for name in at[:-1]:
        inner = inner[name]
    change(inner, at[-1])
    return made


def _set(new: Any) -> Callable[[Any, Any], None]:
    def change(inner: Any, name: Any) -> None:
        inner[name] = new

    return change


def _delete(inner: Any, name: Any) -> None:
    del inner[name]


def _shift(by: int) -> Callable[[Any, Any], None]:
    def change(inner: Any, name: Any) -> None:
        if type(inner[name]) in (int, float):
            inner[name] += by

    return change


CHANGES = (_delete, *map(_set, _VALUES), *map(_shift, (-1, 1, 1000, 10**9)))


def json_mutations(rng: Random, value: Any) -> Iterator[Any]:
    """Yield every change of every place, in an order of the seed, then two at a time."""
    pairs = [(at, change) for at in places(value) for change in CHANGES]
    rng.shuffle(pairs)
    for at, change in pairs:
        yield changed(value, at, change)
    while True:
        made = value
        for at, change in rng.sample(pairs, 2):
            with contextlib.suppress(LookupError, TypeError, AttributeError):
                made = changed(made, at, change)
        yield made


# --- real files ---------------------------------------------------------------------------------

SMALL = {"env": "PongDeterministic-v4", "hidden": 4, "workers": 1, "progress": False}
PPO = {"agent": "ppo", "n_envs": 2, "n_steps": 256, "batch_size": 64, "cell_size": 8,
       "coarse_cells": "", "total_timesteps": 2560}  # fmt: skip
KINDS: Mapping[str, dict[str, Any]] = {
    "karpathy": {"agent": "karpathy", "batch_size": 2, "episodes": 2, "save_every": 1},
    "ppo": PPO,
}


@functools.cache
def make_run(kind: str) -> Path:
    """Train a small run and return its directory, which goes with this process."""
    directory = Path(tempfile.mkdtemp(prefix="fastpong-fuzz-"))
    _clean_up(directory)
    run = directory / "run"
    training = fastpong.train(run_dir=run, **SMALL, **KINDS[kind])
    training.run()
    if kind == "ppo":  # an older checkpoint and a newer one
        fastpong.train(resume=run, total_timesteps=5120, progress=False).run()
    return run


def _clean_up(directory: Path) -> None:
    import atexit

    atexit.register(shutil.rmtree, directory, ignore_errors=True)


def newest_files(run: Path) -> tuple[Path, Path]:
    """Return the newest checkpoint's manifest and data file."""
    manifest = max((run / "checkpoints").glob("*.json"))
    return manifest, manifest.with_name(json.loads(manifest.read_text())["data"]["file"])


# --- runs and checkpoints -----------------------------------------------------------------------


def fuzz_manifest(seconds: float, seed: int) -> int:
    """Change every field of real manifests, sign them again, and play and resume the run.

    Whatever is refused, the older checkpoint takes its place. What is taken trains on.
    """
    end, count, rng = time.monotonic() + seconds, 0, Random(seed)
    streams = {kind: json_mutations(rng, _manifest_of(kind)) for kind in KINDS}
    while count == 0 or time.monotonic() < end:
        kind = list(KINDS)[count % len(KINDS)]
        count += 1
        manifest = next(streams[kind])
        data = signed({name: v for name, v in manifest.items() if name != "digest"})
        with faults_saved(f"manifest-{kind}-{seed}-{count}.json", data):
            try_manifest(kind, data)
    return count


def _manifest_of(kind: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(newest_files(make_run(kind))[0].read_bytes())
    return found


def try_manifest(kind: str, data: bytes) -> bool:
    """Play and resume a copy of a run with another newest manifest, and return whether it is taken.

    Raises AssertionError for a fault.
    """
    with tempfile.TemporaryDirectory() as directory:
        run = Path(shutil.copytree(make_run(kind), Path(directory) / "run"))
        manifest, _ = newest_files(run)
        manifest.write_bytes(data)
        found: Any = guarded(lambda: find(run), (), "")
        guarded(lambda: restore(found[0], "numpy"), (CheckpointError,), "run")
        guarded(lambda: restore(find(manifest)[0], "numpy"), (CheckpointError,), manifest.stem)
        taken = bool(found[0].path == manifest)
        assert taken or (manifest.stem in found[1][0] and len(found[1][0]) < MOST_WORDS), found[1]
        guarded(lambda: _resume(run, taken), (RunError,), "run", TRAINING_SECONDS)
        return taken


def _resume(run: Path, train: bool) -> None:
    """Resume a run, and train on for a moment where there is anything left."""
    with Run.resume(run, overrides={"workers": 1, "episodes": 20, "total_timesteps": None},
                    warn=lambda text: None) as opened:  # fmt: skip
        assert opened.checkpoint is not None
        counters = opened.checkpoint.manifest["counters"]
        if not train or counters["episode"] >= 20:
            return
        with Session(opened.config) as session:
            first = counters["task"]
            session.train(opened, stop=lambda: _gone_on(session, first))


def _gone_on(session: Session, first: int) -> bool:
    trainer = session._trainer_now
    return trainer is not None and trainer.counters["task"] > first


def fuzz_checkpoint(seconds: float, seed: int) -> int:
    """Change data files and sign them anew, so that they are parsed."""
    manifest, data = newest_files(make_run("karpathy"))
    fields = json.loads(manifest.read_bytes())

    def read(path: Path) -> None:
        import hashlib

        content = path.read_bytes()
        about = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        made = path.with_name("input.json")
        made.write_bytes(signed(fields | {"data": {"file": path.name, **about}}))
        restore(verified.load(made), "numpy")

    def inputs() -> Iterator[bytes]:
        return mutations(Random(seed), [data.read_bytes()])

    return run_fuzz("checkpoint", seconds, seed, inputs(), ".safetensors", read, (CheckpointError,))


# --- weights ------------------------------------------------------------------------------------


def fuzz_safetensors(seconds: float, seed: int) -> int:
    """Read exported weights."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "w.safetensors"
        files = []
        for kind in KINDS:
            from fastpong.training.trained import read_trained

            trained = read_trained(find(make_run(kind))[0], "numpy")
            exchange.write(path, kind, {}, trained.parameters, trained.about())
            files.append(path.read_bytes())
    inputs = mutations(Random(seed), files)

    def read(path: Path) -> None:
        restore(find(path)[0], "numpy")

    return run_fuzz("safetensors", seconds, seed, inputs, ".safetensors", read, (CheckpointError,))


def _reference() -> dict[str, Any]:
    return {"W1": np.full((2, 6400), 0.5), "W2": np.ones(2)}


def fuzz_npz(seconds: float, seed: int) -> int:
    """Read NumPy's archives of a reference model, stored and deflated."""
    files = []
    for save in (np.savez, np.savez_compressed):
        data = io.BytesIO()
        save(data, **_reference())
        files.append(data.getvalue())
    inputs = mutations(Random(seed), [*files, *_zips(Random(seed), 40)])
    return run_fuzz("npz", seconds, seed, inputs, ".npz", exchange.read, (ForeignError,))


def _zips(rng: Random, count: int) -> list[bytes]:
    """Return whole archives of changed arrays, whose checksums fit."""
    members = {}
    for name, array in _reference().items():
        data = io.BytesIO()
        np.lib.format.write_array(data, array)
        members[name] = data.getvalue()
    found = []
    for _ in range(count):
        data = io.BytesIO()
        with zipfile.ZipFile(data, "w") as archive:
            for name, member in members.items():
                changed_one = bytearray(member)
                for _ in range(rng.randrange(3)):
                    _mutate(rng, changed_one, list(members.values()), words=True)
                archive.writestr(f"{name}.npy", bytes(changed_one))
        found.append(data.getvalue())
    return found


def fuzz_pickle(seconds: float, seed: int) -> int:
    """Read pickles of a reference model, of all protocols."""
    import pickle

    files = [pickle.dumps(_reference(), protocol) for protocol in range(6)]
    inputs = mutations(Random(seed), files)
    return run_fuzz("pickle", seconds, seed, inputs, ".p", exchange.read, (ForeignError,))


def fuzz_h5(seconds: float, seed: int) -> int:
    """Read Keras's files, of both layouts."""
    from fastpong.agents.keras.agent import shapes

    files = []
    weights = {name: np.zeros(shape, np.float32) for name, shape in shapes(False).items()}
    with tempfile.TemporaryDirectory() as directory:
        for name in ("w.weights.h5", "w.h5"):
            exchange.write(Path(directory) / name, "keras", {}, weights)
            files.append((Path(directory) / name).read_bytes())
    inputs = mutations(Random(seed), files)
    return run_fuzz("h5", seconds, seed, inputs, ".h5", exchange.read, (ForeignError,))


# --- text ---------------------------------------------------------------------------------------


def fuzz_toml(seconds: float, seed: int) -> int:
    """Read settings: recipes, and those of runs."""
    from fastpong.agents import make_plan
    from fastpong.recipes import RECIPES, load

    files = [load(name).text.encode() for name in RECIPES]
    files += [(make_run(kind) / "config.toml").read_bytes() for kind in KINDS]

    def read(path: Path) -> None:
        try:
            config = Config.build(Config.load(path))
            make_plan(config.env, config.stages, "numpy", config.dtype)
        except ValueError as error:
            raise ValueError(f"{path.name}: {error}".replace("\n", " ")) from error

    inputs = mutations(Random(seed), files, words=True)
    return run_fuzz("toml", seconds, seed, inputs, ".toml", read, (ValueError,))


def fuzz_csv(seconds: float, seed: int) -> int:
    """Read metrics.csv as a resumed run, the charts and the board do."""
    from fastpong.storage.logs import TensorBoard

    lines = [b"%d,-21.0,1000,4000,-21.0,%d,%d,%d,1.5,2.5\n" % (n, n, n * 9, n * 36)
             for n in range(1, 120)]  # fmt: skip
    header = (make_run("karpathy") / "metrics.csv").read_bytes().split(b"\n")[0] + b"\n"
    files = [header + b"".join(lines), (make_run("karpathy") / "metrics.csv").read_bytes()]

    def read(path: Path) -> None:
        for table in (read_tail(path), read_rows(path.parent), read_rows(path.parent, newest=True)):
            assert isinstance(table, list)
        GrowingMetrics(path, "run").read()
        with contextlib.suppress(PlotError):
            make_curve(read_record(path))
        rows = cut_metrics(path, 50, lambda text: None)
        board = TensorBoard(path.parent, lambda text: None, rows)
        if rows:
            board.log(rows[-1], {})
        board.close()
        for made in path.parent.glob("events.*"):
            made.unlink()
        for kept in path.parent.glob("*.kept-*"):
            kept.unlink()

    inputs = mutations(Random(seed), files, words=True)
    return run_fuzz("csv", seconds, seed, inputs, ".csv", read, (PlotError,))


def fuzz_evaluations(seconds: float, seed: int) -> int:
    """Read evaluations.csv as a resumed run and a report do."""
    from fastpong.storage.evaluations import HEADER

    line = b"%d,5,900,3600,1.5,10,-21.0,0.0,-21.0,-21.0,0,900.0\n"
    files = [HEADER + b"".join(line % n for n in range(1, 60, 7))]

    def read(path: Path) -> None:
        path.replace(path.with_name(EVALUATIONS))
        read_evaluations(path.parent)
        Evaluations(path.parent, lambda text: None, 30).close()
        for other in path.parent.iterdir():
            other.unlink()

    inputs = mutations(Random(seed), files, words=True)
    return run_fuzz("evaluations", seconds, seed, inputs, ".csv", read, ())


def fuzz_sweep(seconds: float, seed: int) -> int:
    """Open sweeps whose sweep.json or settings.toml was changed."""
    settings = Config.build({"env": SMALL["env"], "workers": 1}).to_toml().encode()
    whole = b'{"seeds": [1, 2, 3]}\n'

    def read(path: Path) -> None:
        name, _, data = path.read_bytes().partition(b"\0")
        for other, content in (("sweep.json", whole), ("settings.toml", settings)):
            (path.parent / other).write_bytes(data if name.decode() == other else content)
        sweep = Sweep.open(path.parent)
        assert sweep.seeds
        sweep.close()

    def inputs() -> Iterator[bytes]:
        rng = Random(seed)
        streams = (
            (b"sweep.json", mutations(rng, [whole], words=True)),
            (b"settings.toml", mutations(rng, [settings], words=True)),
        )
        while True:
            for name, stream in streams:
                yield name + b"\0" + next(stream)

    def refused(path: Path) -> None:
        try:
            read(path)
        except RunError as error:
            raise RunError(f"{path.name}: {error}".replace("\n", " ")) from error

    return run_fuzz("sweep", seconds, seed, inputs(), ".bin", refused, (RunError,))


FUZZERS: Mapping[str, Callable[[float, int], int]] = {
    name.removeprefix("fuzz_"): value
    for name, value in list(globals().items())
    if name.startswith("fuzz_")
}
"""All of them, by name."""

if __name__ == "__main__":
    import sys

    for fuzzer, fuzz in FUZZERS.items():
        if len(sys.argv) < 4 or fuzzer in sys.argv[3:]:
            tried = fuzz(float(sys.argv[1]), int(sys.argv[2]))
            print(f"{fuzzer}: {tried:,} inputs, seed {sys.argv[2]}", flush=True)
