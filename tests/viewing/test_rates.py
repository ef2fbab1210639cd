"""Throughput along a run."""

from __future__ import annotations

import numpy as np

from fastpong.viewing.rates import throughput


def test_an_even_run_has_one_rate() -> None:
    seconds = np.arange(1, 1001) / 4
    ends, rates = throughput(seconds, 500 * seconds)
    assert len(ends) == len(rates) == 60
    assert ends[-1] == seconds[-1]
    np.testing.assert_allclose(rates, 500)


def test_the_frames_add_up() -> None:
    rng = np.random.default_rng(3)
    seconds, frames = 9 * np.cumsum(rng.random(50)), np.cumsum(rng.integers(1, 9, 50)).astype(float)
    ends, rates = throughput(seconds, frames, 7)
    lengths = np.diff(np.append(0, ends))
    np.testing.assert_allclose((rates * lengths).sum(), frames[-1])


def test_one_episode_and_no_time() -> None:
    ends, rates = throughput(np.array([2.0]), np.array([100.0]))
    assert (ends.tolist(), rates.tolist()) == ([2], [50])
    assert all(len(found) == 0 for found in throughput(np.zeros(3), np.ones(3)))


def test_stretches_are_no_shorter_than_a_second() -> None:
    ends, _ = throughput(np.linspace(0.01, 3.5, 400), np.arange(400.0))
    np.testing.assert_allclose(np.diff(ends), 3.5 / 3)
