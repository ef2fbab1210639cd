"""Flipped bits of real checkpoints: part of ``python benchmarks/faults.py bits``."""

from __future__ import annotations

from pathlib import Path

import pytest
from reliability import bits
from reliability.bits import Flips


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bits.make_run(bits.SMALLEST, tmp_path_factory.mktemp("bits") / "home")


def test_every_bit_of_the_manifest_and_a_sample_of_the_data(run: Path) -> None:
    found = Flips()
    manifest, _ = bits.files_of(run)
    size, total = 8 * manifest.stat().st_size, bits.count_bits(run)
    wanted = [*range(size), *range(size, total, 499)]
    bits.flip_bits(run, wanted, found)
    assert found.faults == []
    assert found.refused == len(wanted)
    assert found.passed == sum(bit % bits.NEWEST_EVERY == 0 for bit in wanted)


def test_the_command_goes_on_from_the_checkpoint_before(tmp_path: Path) -> None:
    found = Flips()
    bits.flip_for_commands(tmp_path, 2, 2, found)
    assert found.faults == []
    assert found.commands == 2
