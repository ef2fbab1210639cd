"""The assembler and the black box that the console's tests rest on."""

from __future__ import annotations

import numpy as np
import pytest
from assembler import DECODED, assemble, frame, sleep
from black_box import FRAMES_BEFORE, FRAMES_OF_RESET, run
from probes import probes


def test_every_opcode_has_one_meaning():
    assert sorted(DECODED) == list(range(256))


def test_a_program_is_assembled_byte_by_byte():
    rom = assemble("start: lda #$12 ; a comment\n sta COLUBK\n lda.w 5,x\na: bne a\n jmp start")
    assert rom[:12].hex(" ") == "a9 12 85 09 bd 05 00 d0 fe 4c 00 f0"
    assert rom[0xFFC:].hex(" ") == "00 f0 00 f0"


def test_an_error_names_the_line():
    with pytest.raises(ValueError, match=r"line 2, 'lda nowhere'"):
        assemble("start: nop\n lda nowhere")


@pytest.mark.parametrize("cycles", [0, 2, 3, 7, 40])
def test_sleep_takes_its_cycles(cycles):
    assert sum({0xEA: 2, 0x04: 3}.get(byte, 0) for byte in sleep(cycles)) == cycles


def test_the_reset_runs_a_fixed_number_of_frames():
    ram = run(assemble(frame(" nop")), [0, 0]).ram
    frames = FRAMES_BEFORE + FRAMES_OF_RESET
    np.testing.assert_array_equal(ram[:, 0], [frames - 1, frames, frames + 1])


def test_a_probe_shows_ntsc_and_repeats():
    probe = probes()["write PF0"]
    first, second = (run(probe.rom, probe.actions) for _ in range(2))
    assert first.screens.shape[1:] == (210, 160)
    np.testing.assert_array_equal(first.screens, second.screens)
    np.testing.assert_array_equal(first.ram, second.ram)
