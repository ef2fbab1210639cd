"""Translated cartridges give the interpreter's bits, and the cache of them is safe."""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import mmap
import os
import select
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import psutil
import pytest
from random_programs import random_rom
from runs import has_ended, stop
from waiting import PATIENCE, until

from fastpong.console.cartridge import Rom, load_rom
from fastpong.console.games import PONG, ConsoleGame
from fastpong.console.machine import Cartridge, Machine
from fastpong.console.translate import cache, child, translation
from fastpong.console.translate.compiler import compile_assembly, compile_image
from fastpong.console.translate.image import Image, image_key
from fastpong.console.translate.link import link
from fastpong.console.translate.translation import attach, file_name, is_supported

pytestmark = pytest.mark.skipif(not is_supported(), reason="machine code is made for Linux, x86-64")

GAMES = ["pong", "breakout", "combat", "freeway", "kaboom", "pitfall", "qbert", "seaquest"]
GAMES += ["skiing", "space_invaders", "tennis", "video_chess", "yars_revenge"]
MANY = 100_000_000


def machines(rom: Rom, image: Image, game: ConsoleGame) -> tuple[Machine, Machine]:
    """Return two machines, the second of which is translated."""
    translated = Cartridge(rom)
    translated.attach(image.code, image.entries)
    assert translated.translated
    return Machine(Cartridge(rom), game, MANY), Machine(translated, game, MANY)


def assert_equal(first: Machine, second: Machine, frames: int, seed: int) -> None:
    """Play both and compare all of their state after every frame."""
    rng = np.random.default_rng(seed)
    held = np.repeat(rng.integers(0, 18, frames // 4 + 1), 4)
    screens = np.zeros((2, *first.screen_shape), np.uint8)
    for frame, action in enumerate(held[:frames].tolist()):
        assert first.act(action) == second.act(action), frame
        assert first.save() == second.save(), frame
        if frame % 50 == 0:
            first.read_screen(screens[0])
            second.read_screen(screens[1])
            assert np.array_equal(*screens), frame
        if first.over:
            first.reset_game()
            second.reset_game()


@pytest.mark.parametrize("name", GAMES)
def test_a_game_frame_for_frame(name: str) -> None:
    rom = load_rom(name)
    first, second = machines(rom, compile_image(rom), PONG if name == "pong" else ConsoleGame())
    assert_equal(first, second, 6_000 if name == "pong" else 800, 1)


@pytest.mark.parametrize("seed", range(10))
def test_a_cartridge_of_random_instructions(seed: int) -> None:
    rom = random_rom(seed)
    paddle = seed % 2 - 1
    assert_equal(*machines(rom, compile_image(rom), ConsoleGame(paddle=paddle)), 60, seed)


@pytest.mark.parametrize("seed", range(6))
def test_a_cartridge_of_random_bytes(seed: int) -> None:
    data = np.random.default_rng(seed).integers(0, 256, 4096, np.uint8)
    data[0xFFD] |= 0x10
    rom = Rom("random", data.tobytes(), hashlib.sha256(data).hexdigest())
    assert_equal(*machines(rom, compile_image(rom), ConsoleGame()), 30, seed)


def test_the_moment_of_switching_does_not_matter() -> None:
    """Machine code comes while other threads play the same cartridge."""
    rom = load_rom("pong")
    image, shared = compile_image(rom), Cartridge(rom)
    alone = Machine(Cartridge(rom), PONG, MANY)
    actions = np.random.default_rng(5).integers(0, 18, 2000, np.uint8).tobytes()
    alone.play(actions)
    others = [Machine(shared, PONG, MANY) for _ in range(3)]
    threads = [threading.Thread(target=other.play, args=(actions,)) for other in others]
    for thread in threads:
        thread.start()
    assert not shared.translated
    shared.attach(image.code, image.entries)
    for thread in threads:
        thread.join(60)
    assert {other.save() for other in others} == {alone.save()}
    late = Machine(Cartridge(rom), PONG, MANY)
    for frame, action in enumerate(actions):
        if frame == 777:
            late.cartridge.attach(image.code, image.entries)
        late.act(action)
    assert late.save() == alone.save()


def test_states_go_from_one_to_the_other() -> None:
    rom = load_rom("pong")
    first, second = machines(rom, compile_image(rom), PONG)
    for _ in range(20):
        first.play(bytes([3, 0, 4, 1]))
        second.restore(first.save())
        second.play(bytes([4, 0, 0, 3]))
        first.play(bytes([4, 0, 0, 3]))
        assert first.save() == second.save()
        first.restore(second.save())


# --- the cache --------------------------------------------------------------------------------


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the only directory that may keep code. Nothing has been said."""
    path = tmp_path / "cache"
    monkeypatch.setattr(cache, "candidates", lambda: iter([path]))
    monkeypatch.setattr(translation, "_said", set())
    return path


class Said(list[str]):
    """Remember what was said."""

    def __call__(self, message: str) -> None:
        self.append(message)


@pytest.fixture(scope="module")
def pong() -> Rom:
    return load_rom("pong")


@pytest.fixture(scope="module")
def content(pong: Rom) -> bytes:
    """Return what is kept of Pong."""
    return compile_image(pong).to_bytes(image_key(pong))


@pytest.fixture
def compiled(content: bytes, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Replace the process that compiles, which other tests run. Returns the files it wrote."""
    files = []

    def compile_kept(rom: Rom, directory: Path | None, name: str) -> bytes:
        files.append(name)
        if directory:
            cache.write_file(directory, name, content)
        return content

    monkeypatch.setattr(child, "compile_kept", compile_kept)
    return files


def kept(directory: Path, cartridge: Cartridge) -> Path:
    return directory / file_name(cartridge, image_key(cartridge.rom))


def test_it_is_compiled_once(pong: Rom, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, said = Cartridge(pong), Cartridge(pong), Said()
    assert attach(first, background=False, warn=said) is None
    assert first.translated
    file = kept(directory, first)
    assert file.stat().st_mode & 0o777 == 0o600
    assert directory.stat().st_mode & 0o777 == 0o700
    monkeypatch.setattr(child, "compile_kept", None)
    assert attach(second, warn=said) is None
    assert second.translated
    assert not said


def test_in_the_background(pong: Rom, directory: Path) -> None:
    cartridge = Cartridge(pong)
    thread = attach(cartridge)
    machine = Machine(cartridge, PONG, MANY)
    machine.act(0)
    assert thread is not None
    thread.join(60)
    assert cartridge.translated


@pytest.mark.parametrize("damage", ["cut off", "empty", "a bit", "another cartridge's"])
def test_a_damaged_or_foreign_file(
    pong: Rom, directory: Path, compiled: list[str], damage: str
) -> None:
    attach(Cartridge(pong), background=False)
    cartridge, said = Cartridge(pong), Said()
    file = kept(directory, cartridge)
    good = file.read_bytes()
    other = load_rom("breakout")
    file.write_bytes(
        {
            "cut off": good[:-1],
            "empty": b"",
            "a bit": good[:5000] + bytes([good[5000] ^ 1]) + good[5001:],
            "another cartridge's": compile_image(other).to_bytes(image_key(other)),
        }[damage]
    )
    attach(cartridge, background=False, warn=said)
    assert cartridge.translated
    assert file.read_bytes() == good
    assert len(compiled) == 2
    assert len(said) == 1
    assert "expected the translation of this cartridge, got other bytes" in said[0]


@pytest.mark.parametrize("wrong", ["a file for all", "a link", "a directory for all"])
def test_what_others_may_have_written_is_not_run(
    pong: Rom, directory: Path, compiled: list[str], wrong: str
) -> None:
    attach(Cartridge(pong), background=False)
    cartridge, said = Cartridge(pong), Said()
    file = kept(directory, cartridge)
    if wrong == "a file for all":
        file.chmod(0o666)
        with pytest.raises(ValueError, match="expected a file of your own that only you can write"):
            cache.read_file(file.name)
    elif wrong == "a link":
        file.rename(directory / "elsewhere")
        file.symlink_to(directory / "elsewhere")
        with pytest.raises(ValueError, match="expected a readable file"):
            cache.read_file(file.name)
    else:
        directory.chmod(0o777)
        assert cache.read_file(file.name) is None
        assert cache.writable_directory() is None
    attach(cartridge, background=False, warn=said)
    assert cartridge.translated
    assert len(said) == 1
    assert len(compiled) == 2


def test_no_directory(pong: Rom, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even root makes one in /proc."""
    monkeypatch.setattr(cache, "candidates", lambda: iter([Path("/proc/fastpong")]))
    said = Said()
    for _ in range(2):
        cartridge = Cartridge(pong)
        attach(cartridge, background=False, warn=said)
        assert cartridge.translated
    assert len(said) == 1
    assert "expected a directory of your own to write to, got none of /proc/fastpong" in said[0]


@pytest.mark.parametrize("kind", ["directory", "pipe"])
def test_what_is_no_file_is_not_read(
    pong: Rom, directory: Path, compiled: list[str], kind: str
) -> None:
    path = directory / file_name(Cartridge(pong), image_key(pong))
    directory.mkdir()
    path.mkdir() if kind == "directory" else os.mkfifo(path)
    said, cartridge = Said(), Cartridge(pong)
    attach(cartridge, background=False, warn=said)
    assert "expected a file of your own" in said[0]


def test_the_compiler_ends_with_whoever_asked(pong: Rom, tmp_path: Path) -> None:
    program = (
        "import sys; sys.path[:] = sys.argv[1].split(':')\n"
        "from fastpong.console.cartridge import load_rom\n"
        "from fastpong.console.translate import child\n"
        "from pathlib import Path\n"
        "child.compile_kept(load_rom('pong'), Path(sys.argv[2]), 'kept')\n"
    )
    arguments = [":".join(sys.path), str(tmp_path)]
    with subprocess.Popen([sys.executable, "-c", program, *arguments]) as asking:
        (compiler,) = until(psutil.Process(asking.pid).children)
        maps = Path(f"/proc/{compiler.pid}/maps")
        until(lambda: "llvmlite" in maps.read_text())
        stop(compiler)  # which would soon end by itself
        asking.kill()
    try:
        until(lambda: has_ended(compiler))
    finally:
        with contextlib.suppress(psutil.NoSuchProcess):
            compiler.kill()


def test_the_compiler_ends_if_whoever_asked_has_ended_before_it_begins(
    pong: Rom, tmp_path: Path
) -> None:
    program = (
        "import os, subprocess, sys; sys.path[:] = sys.argv[1].split(':')\n"
        "from fastpong.console.translate import child\n"
        "from pathlib import Path\n"
        "command = child._child_command('pong', Path(sys.argv[2]), 'kept')\n"
        "os.fork() and os._exit(0)\n"
        "os.execv(command[0], command)"
    )
    # Its standard input stays open: what does not look for its parent waits.
    with subprocess.Popen(
        [sys.executable, "-c", program, ":".join(sys.path), str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.wait(PATIENCE) == 0
        assert process.stdout is not None and process.stdin is not None
        ended, _, _ = select.select([process.stdout], [], [], PATIENCE)
        process.stdin.close()
        assert ended and process.stdout.read() == b""
    assert list(tmp_path.iterdir()) == []


def test_without_llvmlite(
    pong: Rom, directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "llvmlite").mkdir()
    (tmp_path / "llvmlite" / "__init__.py").write_text("raise ImportError('there is none')")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    said = Said()
    for _ in range(2):
        cartridge = Cartridge(pong)
        attach(cartridge, background=False, warn=said)
        assert not cartridge.translated
    assert len(said) == 1
    assert "ImportError: there is none" in said[0]
    assert "interpreter" in said[0]
    Machine(cartridge, PONG, MANY).act(0)


NO_EXECUTABLE_MEMORY = """
import ctypes, sys
sys.path[:] = sys.argv[1].split(":")
# PR_SET_MDWE: from now on no memory that was written becomes executable.
if ctypes.CDLL(None).prctl(65, 1, 0, 0, 0):
    sys.exit(77)
from pathlib import Path
from fastpong.console.cartridge import load_rom
from fastpong.console.games import PONG
from fastpong.console.machine import Cartridge, Machine
from fastpong.console.translate import cache
from fastpong.console.translate.translation import attach
cache.candidates = lambda: iter([Path(sys.argv[2])])
for _ in range(2):
    cartridge = Cartridge(load_rom("pong"))
    attach(cartridge, background=False, warn=print)
    assert not cartridge.translated
    Machine(cartridge, PONG, 100).act(0)
"""


def test_without_executable_memory(directory: Path) -> None:
    """As SELinux and hardened kernels forbid it."""
    done = subprocess.run(
        [sys.executable, "-c", NO_EXECUTABLE_MEMORY, ":".join(sys.path), str(directory)],
        capture_output=True,
        text=True,
    )
    if done.returncode == 77:
        pytest.skip("a kernel without PR_SET_MDWE")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("expected to be allowed to run compiled code") == 1


def test_only_one_process_compiles(
    pong: Rom, directory: Path, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others wait for its file."""
    directory.mkdir(0o700)
    cartridge = Cartridge(pong)
    monkeypatch.setattr(child, "compile_kept", None)
    with child.locked(directory, file_name(cartridge, image_key(pong))):
        thread = attach(cartridge)
        assert thread is not None
        thread.join(0.3)
        assert thread.is_alive()
        cache.write_file(directory, file_name(cartridge, image_key(pong)), content)
    thread.join(10)
    assert cartridge.translated


def test_a_child_that_fails_is_quoted(
    pong: Rom, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    cartridge, said = Cartridge(pong), Said()
    attach(cartridge, background=False, warn=said)
    assert not cartridge.translated
    assert "/nowhere/python" in said[0]


def test_loading_takes_no_llvm(directory: Path) -> None:
    """A worker keeps its memory: neither LLVM nor Numba is imported."""
    program = (
        "import sys; sys.path[:] = sys.argv[1].split(':'); from pathlib import Path\n"
        "from fastpong.console.cartridge import load_rom\n"
        "from fastpong.console.machine import Cartridge\n"
        "from fastpong.console.translate import cache\n"
        "from fastpong.console.translate.translation import attach\n"
        "cache.candidates = lambda: iter([Path(sys.argv[2])])\n"
        "for _ in range(2):\n"
        "    cartridge = Cartridge(load_rom('pong'))\n"
        "    attach(cartridge, background=False)\n"
        "    assert cartridge.translated\n"
        "heavy = {'llvmlite', 'numba', 'fastpong.console.translate.emitter'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", program, ":".join(sys.path), str(directory)], check=True)


def test_code_that_refers_to_others_is_refused() -> None:
    text = "declare void @f()\ndefine void @run() {\n  call void @f()\n  ret void\n}\n"
    with pytest.raises(ValueError, match="expected distances within it, got relocation"):
        link(compile_assembly(text, 1))
    with pytest.raises(ValueError, match="expected a 64-bit little-endian ELF file"):
        link(b"MZ")


def test_linked_code_runs(pong: Rom) -> None:
    """A jump table within the constants is found from wherever the code is."""
    cases = " ".join(f"i32 {n}, label %l{n}" for n in range(8))
    blocks = "\n".join(f"l{n}:\n  ret i32 {n * n + 1000}" for n in range(8))
    text = (
        f"define i32 @run(i32 %n) {{\n  switch i32 %n, label %other [ {cases} ]\n{blocks}\n"
        "other:\n  ret i32 -1\n}\n"
    )
    code = np.frombuffer(link(compile_assembly(text, 0)), np.uint8)
    memory = mmap.mmap(-1, len(code), prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    memory.write(code.tobytes())
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    run = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_int32)(start)
    assert [run(n) for n in range(9)] == [*(n * n + 1000 for n in range(8)), -1]


def test_addresses_outside_of_the_cartridge(pong: Rom) -> None:
    cartridge = Cartridge(pong)
    with pytest.raises(ValueError, match="expected code and addresses below 4096"):
        cartridge.attach(np.zeros(4, np.uint8), np.array([4096], np.uint16))
    with pytest.raises(ValueError, match="expected code and addresses below 4096"):
        cartridge.attach(np.zeros(0, np.uint8), np.array([0], np.uint16))
    assert not cartridge.translated
