"""Which emulator plays, and what is said of a ROM that none can play."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fastpong.console.cartridge import EmulatorError, Rom, check_size, load_rom, rom_names
from fastpong.console.games import COVERED
from fastpong.console.machine import VERSION, Cartridge, Machine
from fastpong.envs import choice
from fastpong.envs.choice import EMULATORS, choose, choose_for, kind_of
from fastpong.envs.variants import VARIANTS


@pytest.fixture
def roms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a directory that stands in for that of ale_py, empty."""
    monkeypatch.setenv("ALE_ROMS_DIR", str(tmp_path))
    return tmp_path


def test_the_console_plays_what_lockstep_covers() -> None:
    assert EMULATORS == ("auto", "console", "ale")
    assert [choose("pong", asked) for asked in EMULATORS] == ["console", "console", "ale"]
    assert {choose_for(env, "auto") for env in VARIANTS} == {"console"}
    assert choose("breakout") == choose("breakout", "ale") == "ale"


def test_a_game_that_lockstep_does_not_cover() -> None:
    with pytest.raises(EmulatorError, match=r"^emulator: .*covers breakout.*--emulator ale plays"):
        choose("breakout", "console")


def test_another_rom_of_a_covered_game(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in an ale_py of another version."""
    monkeypatch.setitem(COVERED, "pong", dataclasses.replace(COVERED["pong"], sha256="0" * 64))
    assert choose("pong") == "ale"
    with pytest.raises(EmulatorError, match=r"2048 bytes and sha256 41623e.*--emulator ale plays"):
        choose("pong", "console")


def test_a_console_that_was_not_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "find_spec", lambda name: None)
    assert choose("pong") == "ale"
    with pytest.raises(EmulatorError, match=r"not compiled .*--emulator ale plays it$"):
        choose("pong", "console")


def test_an_emulator_of_another_name() -> None:
    with pytest.raises(ValueError, match=r"^emulator: expected one of auto, .*got 'stella'$"):
        choose("pong", "stella")


@pytest.mark.parametrize("asked", EMULATORS)
def test_a_missing_rom(roms: Path, asked: str) -> None:
    with pytest.raises(EmulatorError, match=r"pong\.bin: .*No such file.*; unset ALE_ROMS_DIR"):
        choose("pong", asked)


@pytest.mark.parametrize("asked", EMULATORS)
@pytest.mark.parametrize("length", [0, 1000, 2047])
def test_a_truncated_rom(roms: Path, asked: str, length: int) -> None:
    whole = rom_bytes()
    (roms / "pong.bin").write_bytes(whole[:length])
    with pytest.raises(EmulatorError, match=rf"pong\.bin: .*md5 60e0ea.*got {length} bytes.*unset"):
        choose("pong", asked)
    (roms / "pong.bin").write_bytes(whole)
    assert choose("pong") == "console"


def test_an_altered_rom(roms: Path) -> None:
    altered = bytearray(rom_bytes())
    altered[700] ^= 1
    (roms / "pong.bin").write_bytes(altered)
    with pytest.raises(EmulatorError, match=r"expected the ROM pong with md5 60e0ea.* 2048 bytes"):
        load_rom("pong")


def rom_bytes() -> bytes:
    import ale_py

    return (Path(ale_py.__file__).parent / "roms" / "pong.bin").read_bytes()


@pytest.mark.parametrize("name", ["pong-2", "Pong", "../pong", "", "pong.bin"])
def test_a_rom_that_ale_does_not_know(name: str) -> None:
    with pytest.raises(EmulatorError, match="unknown game"):
        load_rom(name)
    assert len(rom_names()) > 100


def test_without_ale_py(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastpong.console.cartridge.find_spec", lambda name: None)
    with pytest.raises(EmulatorError, match="pip install ale-py"):
        choose("pong")


def test_an_ale_py_of_before_its_states_could_be_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for found in ("0.11.2", "0.12.0", "1.0", "0.12.0.dev1+local"):
        about = tmp_path / found / "ale_py-0.dist-info"
        about.mkdir(parents=True)
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: ale-py\nVersion: {found}\n")
        monkeypatch.syspath_prepend(tmp_path / found)
        if found != "0.11.2":
            assert choose("pong", "ale") == "ale"
            continue
        assert choose("pong") == "console"
        with pytest.raises(EmulatorError, match=r"ale: expected ale-py 0\.12 or .*, got 0\.11\.2;"):
            choose("pong", "ale")


@pytest.mark.parametrize("size", [0, 1024, 2049, 8192, 16384])
def test_a_cartridge_of_an_unsupported_kind(size: int) -> None:
    rom = Rom("big", bytes(size), "")
    for refuse in (check_size, Cartridge):
        with pytest.raises(EmulatorError, match=rf"2048 or 4096 bytes, got {size}.*--emulator ale"):
            refuse(rom)


def test_saved_states_tell_their_emulator() -> None:
    saved = Machine(Cartridge(load_rom("pong")), COVERED["pong"], 100).save()
    assert saved.startswith(VERSION)
    assert [kind_of(saved), kind_of(saved[5:]), kind_of(b"")] == ["console", "ale", "ale"]


def test_the_console_imports_no_ale_and_says_nothing() -> None:
    code = (
        "import sys; from fastpong.envs.emulator import Emulator;"
        "from fastpong.envs.draws import uniforms; from fastpong.envs.variants import find_variant;"
        "e = Emulator(find_variant('Pong-v0')); e.reset(uniforms(0, 0, 0)); e.step(0);"
        "e.foreground_table(); assert e.console is e.machine and e.kind == 'console';"
        "print([m for m in ('ale_py', 'gymnasium', 'cv2') if m in sys.modules])"
    )
    own = str(Path(choice.find_spec("ale_py").submodule_search_locations[0]) / "roms")  # type: ignore[union-attr,index]
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True,
        env={**os.environ, "ALE_ROMS_DIR": own},
    )  # fmt: skip
    assert done.stdout + done.stderr == "[]\n"
