"""Lanes: segments chained from worker to worker are one uninterrupted row of games."""

from __future__ import annotations

import dataclasses
import itertools
import pickle
from typing import Any

import numpy as np
import pytest

from fastpong.acting.playing import NO_ACTION, Policy
from fastpong.acting.rollout import Buffers, EnvState, RolloutPlayer
from fastpong.envs.draws import TRAIN, uniforms
from fastpong.envs.emulator import Emulator
from fastpong.envs.variants import find_variant

CAP = 1500


def variant(name: str = "ALE/Pong-v5", frames: int = CAP) -> Any:
    return dataclasses.replace(find_variant(name), max_frames=frames)


@pytest.fixture(scope="module", params=["console", "ale"])
def emulators(request: pytest.FixtureRequest) -> list[Emulator]:
    """Two of a sticky variant, cut at 1,500 frames to keep the tests short."""
    return [Emulator(variant(), request.param), Emulator(variant(), request.param)]


class Recorder:
    """A step that chooses by its uniform and by what it sees, and records what that was."""

    def __init__(self, buffers: Buffers) -> None:
        self.buffers = buffers
        self.calls: list[tuple[Any, ...]] = []

    def __call__(self, t: int, uniform: float, fresh: bool, last_action: int) -> int:
        b = self.buffers
        kept = len(b.screens)
        now, before = b.screens[t % kept].copy(), b.screens[(t - 1) % kept].copy()
        self.calls.append((now, now if fresh else before, fresh, last_action))
        action = int((uniform + int(now[35:195].sum()) % 7 / 7) % 1 < 0.5)
        b.indptr[t + 1] = b.indptr[t] + 1
        b.indices[b.indptr[t]], b.counts[b.indptr[t]] = t, 1
        b.actions[t], b.logits[t], b.values[t] = action, uniform, t
        return action


def play(emulators: list[Emulator], segments: int, steps: int, noops: int = 30) -> Any:
    """Play segments of one lane, on the emulators in turn; return them and what was seen."""
    lane, found, calls = EnvState(), [], []
    players = [RolloutPlayer(e, Buffers(steps, 4, np.float64), noops) for e in emulators]
    for n in range(segments):
        player = players[n % len(players)]
        step = Recorder(player.buffers)
        found.append(player.play_rollout(Policy(step, history=True), lane, uniforms(3, TRAIN, n)))
        calls.append(step.calls)
        lane = pickle.loads(pickle.dumps(found[-1].state))
    return found, calls


def test_a_lane_goes_on_anywhere(emulators: list[Emulator]) -> None:
    one, seen = play(emulators[:1], 9, 101)
    other, seen_there = play(emulators, 9, 101)
    for a, b in zip(one, other, strict=True):
        for field in dataclasses.fields(a):
            if field.name not in ("state", "games"):
                assert np.array_equal(getattr(a, field.name), getattr(b, field.name)), field.name
        assert a.games == b.games
        assert a.state.saved == b.state.saved and np.array_equal(a.state.screens, b.state.screens)
    for calls, there in zip(seen, seen_there, strict=True):
        for (now, before, *rest), (now_there, before_there, *rest_there) in zip(
            calls, there, strict=True
        ):
            assert np.array_equal(now, now_there) and np.array_equal(before, before_there)
            assert rest == rest_there


def test_what_is_seen_after_a_segment_begins_the_next(emulators: list[Emulator]) -> None:
    segments, seen = play(emulators, 9, 101)
    for calls, following in itertools.pairwise(seen):
        for mine, theirs in zip(calls[-1], following[0], strict=True):
            assert np.array_equal(mine, theirs)
        assert len(calls) == 102
    assert sum(len(s.games) for s in segments) >= 2


def test_segments_are_the_games_played_by_plain_means(emulators: list[Emulator]) -> None:
    segments, seen = play(emulators, 9, 101)
    emulator, screen = emulators[0], np.empty((210, 160), np.uint8)
    games, score, length, noops = [], 0.0, 0, 0
    steps = [(n, t) for n in range(9) for t in range(101)]
    # One segment's chance comes from one source: the game is played again by the same draws.
    draws = [uniforms(3, TRAIN, n) for n in range(9)]
    emulator.reset(draws[0])
    noops = int(draws[0]() * 31)
    emulator.idle(noops)
    frames = 0
    for n, t in steps:
        emulator._draw = draws[n]
        emulator.read_screen(screen)
        assert np.array_equal(seen[n][t][0], screen)
        uniform = draws[n]()
        assert segments[n].logits[t] == uniform
        points = emulator.step((4, 3)[segments[n].actions[t]])
        score, length = score + points, length + 1
        assert segments[n].rewards[t] == points and segments[n].dones[t] == emulator.over
        if emulator.over:
            games.append((score, length, emulator.frames))
            frames += emulator.frames
            score, length = 0.0, 0
            emulator.reset(draws[n])
            emulator.idle(int(draws[n]() * 31))
    frames += emulator.frames
    found = [(g.score, g.length, g.frames) for s in segments for g in s.games]
    assert found == games and len(games) >= 2
    assert all(g.frames == CAP for s in segments for g in s.games)
    assert sum(s.frames for s in segments) == frames
    assert all(s.length == 101 for s in segments)


def test_a_game_begins_with_no_history_and_idle_frames(emulators: list[Emulator]) -> None:
    _, seen = play(emulators, 9, 101)
    calls = [call for part in seen for call in part[:-1]]
    fresh = [k for k, call in enumerate(calls) if call[2]]
    assert fresh[0] == 0 and len(fresh) >= 3
    for _, _, is_fresh, last in calls:
        assert is_fresh == (last == NO_ACTION)
        if not is_fresh:
            assert last in (0, 1)
    player = RolloutPlayer(emulators[0], Buffers(1, 4, np.float64), 30)
    idle = []
    for n in range(300):
        step = Recorder(player.buffers)
        segment = player.play_rollout(Policy(step, history=True), EnvState(), uniforms(4, TRAIN, n))
        idle.append(segment.frames - 4)
    assert set(idle) == set(range(31))
    none = RolloutPlayer(emulators[0], Buffers(1, 4, np.float64), 0)
    assert (
        none.play_rollout(
            Policy(Recorder(none.buffers), history=True), EnvState(), uniforms(4, TRAIN, 1)
        ).frames
        == 4
    )


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_short_segments_make_the_same_game_without_chance(steps: int) -> None:
    """Where nothing is drawn it does not matter where segments end."""
    emulator = Emulator(variant("PongDeterministic-v4", 300))

    class Fixed(Recorder):
        def __call__(self, t: int, uniform: float, fresh: bool, last_action: int) -> int:
            return super().__call__(t, 0.25, fresh, last_action)

    player = RolloutPlayer(emulator, Buffers(steps, 4, np.float64), 0)
    lane, actions = EnvState(), []
    for n in range(80 // steps):
        segment = player.play_rollout(
            Policy(Fixed(player.buffers), history=True), lane, uniforms(3, TRAIN, n)
        )
        lane = segment.state
        actions += segment.actions.tolist()
    whole = RolloutPlayer(emulator, Buffers(80, 4, np.float64), 0)
    want = whole.play_rollout(
        Policy(Fixed(whole.buffers), history=True), EnvState(), uniforms(3, TRAIN, 0)
    )
    assert actions == want.actions.tolist() and len(set(actions)) == 2


def test_a_whole_game_is_played_to_its_end(emulators: list[Emulator]) -> None:
    player = RolloutPlayer(emulators[0], Buffers(1, 4, np.float64), 30)
    step = Recorder(player.buffers)
    game = player.play_episode(Policy(step, history=True), uniforms(5, TRAIN, 0))
    assert game.frames == CAP and game.length == len(step.calls)
    again = RolloutPlayer(emulators[1], Buffers(9, 4, np.float64), 30)
    assert (
        again.play_episode(Policy(Recorder(again.buffers), history=True), uniforms(5, TRAIN, 0))
        == game
    )
    for (now, *_), (_, before, *_) in zip(step.calls, step.calls[1:], strict=False):
        assert np.array_equal(now, before)


@pytest.mark.parametrize("steps", [1, 3, 101])
def test_earlier_screens_are_kept_across_segments_and_none_across_games(
    emulators: list[Emulator], steps: int
) -> None:
    kept, lane, seen = 4, EnvState(), []
    players = [RolloutPlayer(e, Buffers(steps, 4, np.float64, kept), 5) for e in emulators]

    class Ring(Recorder):
        def __call__(self, t: int, uniform: float, fresh: bool, last_action: int) -> int:
            ring = [self.buffers.screens[(t - age) % kept].copy() for age in range(kept)]
            if t < steps:
                seen.append((ring, fresh))
            return super().__call__(t, uniform, fresh, last_action)

    for n in range(-(-450 // steps)):
        player = players[n % 2]
        segment = player.play_rollout(
            Policy(Ring(player.buffers), history=True), lane, uniforms(3, TRAIN, n)
        )
        lane = pickle.loads(pickle.dumps(segment.state))
        assert len(segment.indptr) == steps + 2 and len(segment.values) == steps + 1
    assert sum(fresh for _, fresh in seen) >= 2
    for (before, _), (ring, fresh) in itertools.pairwise(seen):
        for age in range(1, kept):
            expected = ring[0] if fresh else before[age - 1]
            assert np.array_equal(ring[age], expected)


def test_a_whole_game_keeps_earlier_screens(emulators: list[Emulator]) -> None:
    player, rings = RolloutPlayer(emulators[0], Buffers(1, 4, np.float64, 4), 30), []

    class Ring(Recorder):
        def __call__(self, t: int, uniform: float, fresh: bool, last_action: int) -> int:
            rings.append([self.buffers.screens[(t - age) % 4].copy() for age in range(4)])
            return super().__call__(t, uniform, fresh, last_action)

    game = player.play_episode(Policy(Ring(player.buffers), history=True), uniforms(5, TRAIN, 0))
    assert game.length == len(rings) > 300
    assert all(np.array_equal(screen, rings[0][0]) for screen in rings[0])
    for before, ring in itertools.pairwise(rings):
        assert all(np.array_equal(ring[age], before[age - 1]) for age in (1, 2, 3))


def test_a_lane_travels_whole_and_light(emulators: list[Emulator]) -> None:
    player = RolloutPlayer(emulators[0], Buffers(40, 4, np.float64, 13), 5)
    lane = player.play_rollout(
        Policy(Recorder(player.buffers), history=True), EnvState(), uniforms(6, TRAIN, 0)
    ).state
    assert lane.screens is not None and len(np.unique(lane.screens, axis=0)) == 13
    # None but the newest may be like it, and nothing at all be like another.
    noise = np.random.default_rng(9).integers(0, 256, lane.screens.shape, np.uint8)
    every_other = np.concatenate([lane.screens, noise])[::2]
    for screens in (lane.screens, noise, every_other, lane.screens[:1]):
        sent = dataclasses.replace(lane, screens=screens)
        got = pickle.loads(pickle.dumps(sent))
        assert np.array_equal(got.screens, screens) and got.screens.dtype == np.uint8
        got.screens[...] = 0  # an array of its own
        assert dataclasses.replace(got, screens=None) == dataclasses.replace(sent, screens=None)
    assert pickle.loads(pickle.dumps(EnvState())) == EnvState()
    assert len(pickle.dumps(lane)) < 60_000 < lane.screens.nbytes


def test_a_saved_game_that_is_none_is_refused(emulators: list[Emulator]) -> None:
    draw = uniforms(1, TRAIN, 1)
    emulators[0].reset(draw)
    emulators[0].step(3)
    saved = emulators[0].save()
    for bad in (b"", b"\0", b"\0abc", saved[:100], saved[:-9]):
        with pytest.raises(ValueError, match=r"^saved: expected"):
            emulators[1].restore(bad, draw)
    emulators[1].restore(saved, draw)
    assert emulators[1].frames == emulators[0].frames and not emulators[1].over


def test_a_step_without_room_is_an_error(emulators: list[Emulator]) -> None:
    player = RolloutPlayer(emulators[0], Buffers(1, 4, np.float64), 0)
    with pytest.raises(RuntimeError, match="found no room"):
        player.play_rollout(Policy(lambda *_: -1, history=True), EnvState(), uniforms(1, TRAIN, 1))
