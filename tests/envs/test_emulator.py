from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
import pytest

from fastpong.console.games import COVERED
from fastpong.envs.draws import EVAL, TRAIN, Draw, uniforms
from fastpong.envs.emulator import Emulator
from fastpong.envs.games import PONG
from fastpong.envs.machine import NOOP
from fastpong.envs.variants import VARIANTS, Variant, find_variant

REDS = PONG.background_reds
Policy = Callable[[int], int]  # frame or step number -> index into the minimal action set


def unused() -> float:
    raise AssertionError("a variant without randomness drew")


def random_policy(seed: int, count: int = 6) -> Policy:
    choices = np.random.default_rng(seed).integers(0, count, 20_000).tolist()
    return lambda t: choices[t]


POLICIES: dict[str, Policy] = {
    "random": random_policy(1),
    "paddle": lambda t: (2, 3)[t // 9 % 2],
    "still": lambda t: 0,
}


@pytest.fixture(scope="module", params=["console", "ale"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def emulators(kind: str) -> dict[str, Emulator]:
    return {name: Emulator(variant, kind) for name, variant in VARIANTS.items()}


def screen_of(emulator: Emulator) -> npt.NDArray[np.uint8]:
    screen = np.empty(emulator.screen_shape, np.uint8)
    emulator.read_screen(screen)
    return screen


@pytest.fixture(scope="module")
def palette(emulators: dict[str, Emulator]) -> npt.NDArray[np.uint8]:
    """ALE's RGB of every index met in one game, asked for rather than assumed."""
    emulator, rgb = emulators["PongNoFrameskip-v4"], np.empty((210, 160, 3), np.uint8)
    known = np.zeros((256, 3), np.uint8)
    emulator.reset(unused)
    t = 0
    while not emulator.over:
        emulator.step(emulator.actions[t // 20 % 6])
        if t < 100 or t % 16 == 0:
            emulator.machine.read_rgb(rgb)
            known[screen_of(emulator)] = rgb
        t += 1
    return known


# -- without randomness: gymnasium, frame for frame --------------------------------------------


def gym_twin(name: str) -> gymnasium.Env[npt.NDArray[np.uint8], int]:
    import ale_py

    gymnasium.register_envs(ale_py)
    if name == "PongDeterministic-v4":  # no longer registered; this is what it was
        return gymnasium.make("PongNoFrameskip-v4", frameskip=4)
    return gymnasium.make(name)


def ale_of(env: gymnasium.Env[Any, Any]) -> Any:
    return env.unwrapped.ale  # type: ignore[attr-defined]


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("name", ["PongNoFrameskip-v4", "PongDeterministic-v4"])
def test_whole_games_equal_gymnasium(
    emulators: dict[str, Emulator],
    palette: npt.NDArray[np.uint8],
    name: str,
    policy: str,
) -> None:
    emulator, act, env = emulators[name], POLICIES[policy], gym_twin(name)
    theirs = np.empty(emulator.screen_shape, np.uint8)
    every = 2 if name == "PongDeterministic-v4" else 8
    # The second game follows a plain reset; seeded ones, here and in the other cases, load the
    # ROM anew in gymnasium.
    for game, seed in enumerate((len(policy), None)[: 2 if policy == "random" else 1]):
        env.reset(seed=seed)
        emulator.reset(unused)
        np.testing.assert_array_equal(screen_of(emulator), ale_of(env).getScreen())
        total, t, done = 0.0, 0, False
        while not done:
            index = act(t + 11 * game)
            obs, reward, terminated, truncated, info = env.step(index)
            assert emulator.step(emulator.actions[index]) == reward, (game, t)
            assert emulator.terminated == terminated, (game, t)
            assert emulator.truncated == truncated, (game, t)
            assert emulator.frames == info["episode_frame_number"], (game, t)
            done = terminated or truncated
            assert emulator.over == done, (game, t)
            # Every screen by its palette indices, which cost nothing; RGB now and then.
            screen = screen_of(emulator)
            ale_of(env).getScreen(theirs)
            assert (screen == theirs).all(), (game, t)
            if t % every == 0 or t < 20 or done:
                assert (palette[screen] == obs).all(), (game, t)
            total += float(reward)
            t += 1
        assert terminated
        assert t > 500
        assert total == -21 or policy != "still"


def test_frames_of_a_last_skip_that_the_game_cuts_short(emulators: dict[str, Emulator]) -> None:
    """The game ends within a skip of 4; frames after its end are not counted."""
    exact, skipping = emulators["PongNoFrameskip-v4"], emulators["PongDeterministic-v4"]
    ends = []
    for emulator in (exact, skipping):
        emulator.reset(unused)
        while not emulator.over:
            emulator.step(0)
        ends.append(emulator.frames)
        before = emulator.frames
        assert emulator.step(0) == 0.0
        assert emulator.frames == before
    assert ends[0] == ends[1]


# -- the start ----------------------------------------------------------------------------------


def test_reset_shows_the_start_screen_and_begins_anew(emulators: dict[str, Emulator]) -> None:
    emulator = emulators["PongDeterministic-v4"]
    emulator.reset(unused)
    start = screen_of(emulator)
    while not emulator.over:
        emulator.step(4)
    assert (screen_of(emulator) != start).any()
    emulator.reset(unused)
    assert not emulator.over
    assert not emulator.terminated
    assert emulator.frames == 0
    np.testing.assert_array_equal(screen_of(emulator), start)
    emulator.step(0)
    assert (screen_of(emulator) != start).any()
    assert emulator.frames == 4


def test_step_before_reset_says_what_to_do(kind: str) -> None:
    emulator = Emulator(find_variant("Pong-v0"), kind)
    assert emulator.over
    with pytest.raises(RuntimeError, match="reset"):
        emulator.step(0)


def test_read_screen_refuses_arrays_it_cannot_fill(emulators: dict[str, Emulator]) -> None:
    emulator = emulators["PongNoFrameskip-v4"]
    emulator.reset(unused)
    emulator.step(0)
    wrong: list[Any] = [np.empty((80, 80), np.uint8), np.empty((210, 160), np.float32)]
    for out in wrong:
        with pytest.raises((TypeError, ValueError, RuntimeError)):
            emulator.read_screen(out)


@pytest.mark.parametrize("name", ["PongNoFrameskip-v4", "Pong-v0"])
def test_truncation(name: str, kind: str) -> None:
    known = VARIANTS[name]
    emulator = Emulator(Variant("short", known.game, known.frameskip, known.sticky, 403), kind)
    emulator.reset(uniforms(0, TRAIN, 0))
    for _ in range(404):  # and not for ever, should nothing cut it off
        if emulator.over:
            break
        emulator.step(0)
    assert emulator.over
    assert emulator.frames == 403
    assert emulator.truncated
    assert not emulator.terminated
    emulator.step(0)
    assert emulator.frames == 403


def test_all_variants_are_cut_at_108000_frames(emulators: dict[str, Emulator]) -> None:
    for emulator in emulators.values():
        assert emulator.variant.max_frames == 108_000
        assert emulator.machine.max_frames == 108_000


# -- randomness ---------------------------------------------------------------------------------


class Recorder:
    """Notes the actions given to the real machine, on their way there."""

    def __init__(self, emulator: Emulator) -> None:
        self.emulator, self.play, self.executed = emulator, emulator._play, list[int]()

    def __call__(self, actions: bytes | bytearray) -> int:
        self.executed += actions
        return self.play(actions)

    def __enter__(self) -> Recorder:
        self.emulator._play = self
        return self

    def __exit__(self, *exception: object) -> None:
        self.emulator._play = self.play


def requests(emulator: Emulator, draw: Draw, steps: int) -> Iterator[tuple[int, int, list[int]]]:
    """Play ``steps`` random actions; yield the one executed last, the one asked for, and those
    that the step's frames executed."""
    choices = np.random.default_rng(5).choice(emulator.actions, steps).tolist()
    emulator.reset(draw)
    last = NOOP
    with Recorder(emulator) as recorder:
        for action in choices:
            if emulator.over:
                emulator.reset(draw)
                last = NOOP
            recorder.executed.clear()
            emulator.step(action)
            yield last, action, list(recorder.executed)
            last = recorder.executed[-1]


@pytest.mark.parametrize("name", ["Pong-v0", "Pong-v4"])
def test_skips_are_two_three_or_four_alike(emulators: dict[str, Emulator], name: str) -> None:
    draw = uniforms(1, TRAIN, 0)
    skips = [len(played) for *_, played in requests(emulators[name], draw, 3000)]
    values, counts = np.unique(skips, return_counts=True)
    assert values.tolist() == [2, 3, 4]
    assert ((counts - 1000) ** 2 / 1000).sum() < 13.8  # chi-square, 2 degrees, p = 0.001
    # One skip says nothing about the next.
    pairs = np.histogram2d(skips[:-1], skips[1:], bins=3)[0]
    expected = len(skips) / 9
    assert ((pairs - expected) ** 2 / expected).sum() < 29  # 8 degrees, with room: dependent sums


@pytest.mark.parametrize("name", ["Pong-v0", "ALE/Pong-v5"])
def test_a_frame_repeats_the_action_executed_last_a_quarter_of_the_time(
    emulators: dict[str, Emulator], name: str
) -> None:
    changes, repeated, within = 0, 0, 0
    for last, action, played in requests(emulators[name], uniforms(2, TRAIN, 0), 4000):
        if last != action:
            # Until the request goes through, the old action goes on; then it stays the request.
            stuck = 0
            while stuck < len(played) and played[stuck] == last:
                stuck += 1
            assert played == [last] * stuck + [action] * (len(played) - stuck)
            changes += 1
            repeated += stuck > 0
            within += stuck > 1
    # 4 standard deviations about p = 1/4 and, for two frames running, 1/16.
    for count, p in ((repeated, 1 / 4), (within, 1 / 16)):
        assert abs(count - p * changes) < 4 * np.sqrt(p * (1 - p) * changes)


def test_sticky_draws_are_one_a_frame_and_compared_as_ale_does(
    emulators: dict[str, Emulator],
) -> None:
    emulator = emulators["Pong-v0"]
    # skip 2 (0.0), NOOP repeated, then 4; skip 4 (0.99), 4 repeated twice, then 3, 3 repeated;
    # a draw equal to the probability lets the request through.
    draws = iter([0.0, 0.1, 0.25, 0.99, 0.2, 0.0, 0.9, 0.2, 0.5, 0.3, 0.24999, 0.25])
    emulator.reset(draws.__next__)
    with Recorder(emulator) as recorder:
        emulator.step(4)
        assert recorder.executed == [0, 4]
        emulator.step(3)
        assert recorder.executed == [0, 4, 4, 4, 3, 3]
        emulator.step(1)
        assert recorder.executed == [0, 4, 4, 4, 3, 3, 1, 1, 1]
    assert next(draws, None) is None
    # A new episode starts from NOOP again, not from the 1 just played.
    emulator.reset(iter([0.0, 0.1, 0.1]).__next__)
    with Recorder(emulator) as recorder:
        emulator.step(4)
        assert recorder.executed == [0, 0]


def test_sticky_one_never_plays_the_request(kind: str) -> None:
    emulator = Emulator(Variant("stuck", sticky=1.0), kind)
    assert {a for *_, played in requests(emulator, uniforms(0, TRAIN, 0), 50) for a in played} == {
        0
    }


def test_scores_are_distributed_like_those_of_gymnasiums_own_randomness(
    emulators: dict[str, Emulator],
) -> None:
    """Frames until the first point against a still paddle, over seeds: two-sample rank test."""
    emulator, env = emulators["ALE/Pong-v5"], gym_twin("ALE/Pong-v5")
    ours, theirs = [], []
    for n in range(24):
        emulator.reset(uniforms(4, TRAIN, n))
        t = 0
        while not emulator.step(emulator.actions[2 + t // 7 % 2]):
            t += 1
        ours.append(emulator.frames)
        # reset_game() instead of env.reset(seed): ALE's generator just goes on.
        env.reset(seed=1) if n == 0 else env.reset()
        t, reward = 0, 0.0
        while not reward:
            _, gained, _, _, info = env.step(2 + t // 7 % 2)
            reward = float(gained)
            t += 1
        theirs.append(info["episode_frame_number"])
    assert len(set(ours)) > 3
    ranks = np.argsort(np.argsort(np.r_[ours, theirs] + np.linspace(0, 0.5, 48)))
    deviation = np.sqrt(24 * 24 * 49 / 12)
    assert abs(ranks[:24].sum() - 23.5 * 24) < 4 * deviation


# -- reproducibility ----------------------------------------------------------------------------


def episode(emulator: Emulator, draw: Draw, steps: int = 250) -> list[tuple[float, int, int]]:
    emulator.reset(draw)
    log = []
    for _ in range(steps):
        action = emulator.actions[2 + int(draw() * 2)]
        points = emulator.step(action)
        log.append((points, emulator.frames, hash(screen_of(emulator).tobytes())))
    return log


@pytest.mark.parametrize("name", ["Pong-v0", "Pong-v4", "ALE/Pong-v5"])
def test_an_episode_is_a_function_of_seed_stream_and_number(
    emulators: dict[str, Emulator], name: str, kind: str
) -> None:
    emulator = emulators[name]
    first = episode(emulator, uniforms(3, TRAIN, 17))
    for other in ((3, TRAIN, 18), (3, EVAL, 17), (4, TRAIN, 17)):
        assert episode(emulator, uniforms(*other)) != first
    emulator.foreground_table()
    assert episode(emulator, uniforms(3, TRAIN, 17)) == first
    fresh = Emulator(find_variant(name), kind)
    assert episode(fresh, uniforms(3, TRAIN, 17)) == first
    # After a whole game, and after one broken off in the middle of a sticky action.
    emulator.reset(uniforms(0, TRAIN, 0))
    while not emulator.over:
        emulator.step(3)
    assert episode(emulator, uniforms(3, TRAIN, 17)) == first


def test_emulators_in_one_process_do_not_disturb_each_other(kind: str) -> None:
    one, other = (Emulator(find_variant("Pong-v0"), kind) for _ in range(2))
    alone = episode(one, uniforms(1, TRAIN, 1), 100)
    draw = uniforms(1, TRAIN, 1)
    one.reset(draw)
    other.reset(uniforms(2, TRAIN, 2))
    together = []
    for _ in range(100):
        points = one.step(one.actions[2 + int(draw() * 2)])
        other.step(3)
        together.append((points, one.frames, hash(screen_of(one).tobytes())))
    assert together == alone


# -- console and ale ----------------------------------------------------------------------------


def both(name: str) -> tuple[Emulator, Emulator]:
    variant = find_variant(name)
    return Emulator(variant, "console"), Emulator(variant, "ale")


@pytest.mark.parametrize("name", VARIANTS)
def test_a_whole_game_is_the_same_on_both(name: str) -> None:
    console, ale = both(name)
    assert (console.kind, ale.kind) == ("console", "ale")
    assert console.console is console.machine
    assert ale.console is None
    assert console.actions == ale.actions
    screens = np.zeros((2, 210, 160), np.uint8)
    choices = np.random.default_rng(7).choice(console.actions, 10_000).tolist()
    for number in range(2):
        draws = [uniforms(6, TRAIN, number) for _ in range(2)]
        for emulator, draw in zip((console, ale), draws, strict=True):
            emulator.reset(draw)
            emulator.idle(5 * number)
        for t, action in enumerate(choices):
            assert console.step(action) == ale.step(action), t
            assert facts(console) == facts(ale), t
            console.read_screen(screens[0])
            ale.read_screen(screens[1])
            assert np.array_equal(*screens), t
            if console.over:
                break
        assert console.terminated
        assert draws[0]() == draws[1]()  # as many were drawn


def facts(emulator: Emulator) -> tuple[bool, bool, bool, int]:
    return emulator.over, emulator.terminated, emulator.truncated, emulator.frames


@pytest.mark.parametrize("reds", [REDS, (), (144,), (0,), tuple(range(0, 255, 3))])
def test_the_colours_are_the_same_on_both(reds: tuple[int, ...]) -> None:
    console, ale = both("Pong-v0")
    assert np.array_equal(console.foreground_table(reds), ale.foreground_table(reds))


def test_an_episode_goes_on_where_it_was_saved_and_the_next_one_where_it_was_asked() -> None:
    for mine, theirs in (both("Pong-v0"), reversed(both("Pong-v0"))):
        other = Emulator(theirs.variant, theirs.kind)
        theirs.reset(uniforms(1, TRAIN, 0))
        for _ in range(30):
            theirs.step(3)
        saved = theirs.save()
        mine.restore(saved, uniforms(1, TRAIN, 1))
        other.restore(saved, uniforms(1, TRAIN, 1))
        assert (mine.console is None) == (theirs.console is None)
        for _ in range(30):
            assert mine.step(4) == other.step(4)
            assert (screen_of(mine) == screen_of(other)).all()
            assert facts(mine) == facts(other)
        assert mine.save() == other.save()
        for emulator in (mine, other):
            emulator.reset(uniforms(1, TRAIN, 2))
        assert (mine.console is None) == (mine.kind == "ale")
        for _ in range(30):
            assert mine.step(3) == other.step(3)
            assert (screen_of(mine) == screen_of(other)).all()


def test_a_state_of_another_console_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    console, ale = both("Pong-v0")
    draw = uniforms(1, TRAIN, 0)
    console.reset(draw)
    console.step(3)
    saved = console.save()
    damaged = bytearray(saved)
    damaged[200] ^= 1
    cases = {
        saved.replace(b"console 1", b"console 0"): r"this version.*console 0.*use the version",
        saved[:-1]: r"expected \d+ bytes of this version.*got \d+ that",
        bytes(damaged): "damaged",
        b"\x12" + saved[1:]: "expected bytes from Emulator.save",
    }
    for emulator in (console, ale):
        for bad, message in cases.items():
            with pytest.raises(ValueError, match=f"^saved: .*{message}"):
                emulator.restore(bad, draw)
    fresh = Emulator(ale.variant, "ale")
    monkeypatch.setitem(COVERED, "pong", replace(COVERED["pong"], sha256="0" * 64))
    with pytest.raises(ValueError, match=r"^saved: .*of the console, but the ROM pong has"):
        fresh.restore(saved, draw)


# -- palette ------------------------------------------------------------------------------------


def test_foreground_table_is_the_red_rule_on_whole_games(emulators: dict[str, Emulator]) -> None:
    emulator = emulators["PongDeterministic-v4"]
    table = emulator.foreground_table(REDS)
    assert table.dtype == np.uint8
    assert np.flatnonzero(table == 0).tolist() == [0, 34, 228]
    rgb = np.empty((210, 160, 3), np.uint8)
    for seed, policy in enumerate((POLICIES["still"], POLICIES["random"])):
        emulator.reset(unused)
        t = 0
        while not emulator.over:
            emulator.step(emulator.actions[policy(t + seed)])
            emulator.machine.read_rgb(rgb)
            foreground = ~np.isin(rgb[..., 0], REDS)
            assert (table[screen_of(emulator)] == foreground).all(), t
            t += 1
        assert t > 500


def test_foreground_table_takes_other_reds_and_leaves_the_start_alone(
    emulators: dict[str, Emulator],
) -> None:
    emulator = emulators["PongNoFrameskip-v4"]
    emulator.reset(unused)
    start = screen_of(emulator)
    assert emulator.foreground_table(()).all()
    assert np.flatnonzero(emulator.foreground_table((144,)) == 0).tolist() == [34]
    assert emulator.over
    emulator.reset(unused)
    np.testing.assert_array_equal(screen_of(emulator), start)


def test_start_screen_by_the_red_rule(emulators: dict[str, Emulator]) -> None:
    emulator = emulators["Pong-v0"]
    obs, _ = gym_twin("PongNoFrameskip-v4").reset(seed=0)
    emulator.reset(uniforms(0, TRAIN, 0))
    foreground = ~np.isin(obs[..., 0], REDS)
    assert (emulator.foreground_table()[screen_of(emulator)] == foreground).all()


# -- facts of the game --------------------------------------------------------------------------


def test_the_games_facts_are_those_of_ale(emulators: dict[str, Emulator]) -> None:
    for emulator in emulators.values():
        assert emulator.actions == PONG.actions
        assert emulator.screen_shape == PONG.geometry.screen
    assert set(PONG.move_actions) < set(PONG.actions)
    field = PONG.geometry
    assert (field.rows, field.columns, field.pixels) == (80, 80, 6400)


# -- names --------------------------------------------------------------------------------------


def test_the_five_variants() -> None:
    facts = {v.name: (v.game.rom, v.frameskip, v.sticky) for v in VARIANTS.values()}
    assert facts == {
        "Pong-v0": ("pong", (2, 3, 4), 0.25),
        "Pong-v4": ("pong", (2, 3, 4), 0.0),
        "PongNoFrameskip-v4": ("pong", (1,), 0.0),
        "PongDeterministic-v4": ("pong", (4,), 0.0),
        "ALE/Pong-v5": ("pong", (4,), 0.25),
    }
    assert all(find_variant(name).name == name for name in VARIANTS)


def test_unknown_environment_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"'Pong-v1'.*Pong-v0, .*ALE/Pong-v5") as caught:
        find_variant("Pong-v1")
    assert "Did you mean" in str(caught.value)


@pytest.mark.parametrize("game", ["no_such_game", "Pong", "../pong", ""])
def test_unknown_game(game: str) -> None:
    with pytest.raises(ValueError, match="unknown game"):
        Emulator(Variant("x", replace(PONG, rom=game)))


@pytest.mark.parametrize(
    ("field", "values"),
    [("frameskip", ((), (0,), (2, -1))), ("sticky", (-0.1, 1.5)), ("max_frames", (0, -1))],
)
def test_variants_that_cannot_be_played(field: str, values: tuple[object, ...]) -> None:
    for value in values:
        with pytest.raises(ValueError, match=field):
            Variant("x", **{field: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("frames", [4, 2, 1])
def test_steps_of_a_shorter_frame_skip_are_one_of_the_whole(frames: int, kind: str) -> None:
    known = find_variant("PongDeterministic-v4")
    whole, part = Emulator(known, kind), Emulator(known.with_frame_skip(frames), kind)
    screens = np.zeros((2, 210, 160), np.uint8)
    whole.reset(uniforms(1, TRAIN, 0)), part.reset(uniforms(1, TRAIN, 0))
    for action in np.random.default_rng(2).choice([0, 3, 4], 200):
        assert whole.step(action) == sum(part.step(action) for _ in range(4 // frames))
        assert whole.frames == part.frames
        whole.read_screen(screens[0]), part.read_screen(screens[1])
        assert np.array_equal(*screens)
    assert find_variant("ALE/Pong-v5").with_frame_skip(frames).sticky == 0.25


@pytest.mark.parametrize(
    ("name", "frames", "fixed"),
    [("Pong-v4", 2, "2, 3, 4"), ("ALE/Pong-v5", 8, "4"), ("ALE/Pong-v5", 3, "4"),
     ("ALE/Pong-v5", 0, "4"), ("PongNoFrameskip-v4", 2, "1")],
)  # fmt: skip
def test_a_frame_skip_that_is_no_divisor_is_refused(name: str, frames: int, fixed: str) -> None:
    message = f"^frame_skip: expected .* multiple of {frames} frames, got {name}, .* for {fixed}$"
    with pytest.raises(ValueError, match=message):
        find_variant(name).with_frame_skip(frames)


def test_the_variants_own_frame_skip_changes_nothing() -> None:
    known = find_variant("ALE/Pong-v5")
    assert known.with_frame_skip(4) is known


def test_another_game_equals_gymnasium_too() -> None:
    import ale_py

    gymnasium.register_envs(ale_py)
    env = gymnasium.make("BreakoutNoFrameskip-v4", frameskip=4)
    env.reset(seed=0)
    emulator = Emulator(Variant("Breakout", replace(PONG, rom="breakout"), frameskip=(4,)))
    assert emulator.actions == (0, 1, 3, 4)
    table = emulator.foreground_table((0,))
    assert table[0] == 0
    assert table.sum() > 200
    emulator.reset(unused)
    total = 0.0
    policy = random_policy(1, 4)
    for t in range(400):
        index = policy(t)
        _, reward, terminated, _, info = env.step(index)
        assert emulator.step(emulator.actions[index]) == reward
        assert (emulator.terminated, emulator.frames) == (terminated, info["episode_frame_number"])
        assert (screen_of(emulator) == ale_of(env).getScreen()).all()
        total += float(reward)
        if terminated:
            break
    assert total > 0


def test_reading_the_variants_imports_no_emulator() -> None:
    code = (
        "import sys, fastpong.envs.emulator; from fastpong.envs import variants;"
        "variants.find_variant('Pong-v0');"
        "print([m for m in ('ale_py', 'gymnasium', 'numba') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_building_and_playing_prints_nothing(kind: str) -> None:
    code = (
        "from fastpong.envs.emulator import Emulator; from fastpong.envs.draws import uniforms;"
        "from fastpong.envs.variants import find_variant;"
        f"e = Emulator(find_variant('Pong-v0'), {kind!r});"
        "e.reset(uniforms(0, 0, 0)); e.step(0); e.foreground_table()"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout + done.stderr == ""


# -- uniforms -----------------------------------------------------------------------------------


def test_uniforms_are_pcg64s_own_stream() -> None:
    draw = uniforms(11, EVAL, 5)
    sequence = np.random.SeedSequence(11, spawn_key=(EVAL, 5))
    reference = np.random.Generator(np.random.PCG64(sequence))
    ours = [draw() for _ in range(5000)]
    assert ours == [reference.random() for _ in range(5000)]
    assert all(type(u) is float and 0.0 <= u < 1.0 for u in ours)


def test_uniforms_differ_in_each_argument() -> None:
    firsts = {uniforms(s, t, e)() for s in range(4) for t in range(3) for e in range(4)}
    assert len(firsts) == 48


def test_uniforms_refuse_negative_arguments() -> None:
    for arguments, name in (((-1, 0, 0), "seed"), ((0, -1, 0), "stream"), ((0, 0, -2), "episode")):
        with pytest.raises(ValueError, match=name):
            uniforms(*arguments)
