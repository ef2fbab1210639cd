"""Films: what is on a frame, and files that other programs read back, frame by frame."""

from __future__ import annotations

import io
import resource
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from training_cases import stages_of

from fastpong import kernels
from fastpong.agents.protocol import Chance
from fastpong.envs.draws import EVAL
from fastpong.training.evaluation import Player
from fastpong.viewing.film import PALETTE, Film, Part, steps_between
from fastpong.viewing.games import COLOURS, Watcher
from fastpong.viewing.writers import FilmError, check_kind, durations_of, write, write_into

pytest.importorskip("PIL.Image")

ENV = "PongDeterministic-v4"
Frames = list[NDArray[np.uint8]]


def part(caption: str = "one", games: range = range(1), seed: int = 0) -> Part:
    stages = tuple(stages_of("karpathy", env=ENV, hidden=4))
    (stage,) = Player(ENV, stages, 0, kernels.get_backend().name, "float32", seed).plan().stages
    watcher = Watcher(stage, stage.spec.initial_parameters(seed), Chance(seed, EVAL))
    return Part(watcher, caption, "computer", "karpathy", games)


def screens(shown: Part, count: int) -> Frames:
    return [m.screen for m, _ in zip(shown.watcher.game(0), range(count), strict=False)]


@pytest.fixture(scope="module")
def second() -> Frames:
    """Return two seconds of a film, 60 frames each."""
    return list(Film([part()], scale=2).frames(every=1, most=120))


def test_the_consoles_colours_are_the_palettes_even_indices() -> None:
    assert np.array_equal(PALETTE[::2], COLOURS[::2])


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
def test_a_frame_has_the_games_picture(scale: int) -> None:
    film = Film([part()], scale)
    assert film.size[0] % 2 == film.size[1] % 2 == 0
    assert film.size[1] == 160 * scale
    for frame, screen in zip(film.frames(1, 200), screens(part(), 200), strict=True):
        top = 8 + 5 * scale
        picture = frame[top : top + 105 * scale]
        assert set(np.unique(picture)) <= set(np.unique(screen))
        # Every object is there, at its place and in its size.
        rows, columns = np.nonzero(screen == 200)
        found_rows, found_columns = np.nonzero(picture == 200)
        if len(rows):
            assert found_columns.min() == columns.min() * scale
            assert found_columns.max() == (columns.max() + 1) * scale - 1
            assert found_rows.min() == pytest.approx(rows.min() * scale / 2, abs=2)


def test_every_fourth_frame_is_every_fourth_frame() -> None:
    all_frames = list(Film([part()], 1).frames(1, 401))
    some = list(Film([part()], 1).frames(4, 100))
    assert len(some) == 100
    for n, frame in enumerate(some):
        assert np.array_equal(frame, all_frames[4 * n]), n


def test_steps_between_frames() -> None:
    assert steps_between(60, 1) == 1
    assert steps_between(30, 1) == 2
    assert steps_between(20, 4) == 12


def test_a_film_ends_with_its_longest_part_and_shows_every_game_to_its_last_frame() -> None:
    short, long = part(), part("two", range(2), seed=1)
    lengths = [sum(sum(1 for _ in p.watcher.game(n)) for n in p.games) for p in (short, long)]
    film = Film([short, long], 1)
    *_, last = frames = list(film.frames(10))
    longest = max(lengths)
    assert longest <= 10 * len(frames) <= longest + 20
    assert last.shape == film.size == (film.size[0], 322)
    # Each part's score at the end is that of its last game.
    *_, end = short.watcher.game(0)
    assert 21 in end.score
    assert np.array_equal(last[13 + 20 : 13 + 105 : 2, :160], end.screen[40::4][:43])


def test_scores_and_odds_are_drawn(second: Frames) -> None:
    footer = [frame[18 + 210 :] for frame in second]
    assert len({part.tobytes() for part in footer}) > 5
    captions = {frame[:18].tobytes() for frame in second}
    assert len(captions) == 1
    other = next(Film([part("another caption")], 2).frames(1))
    assert other[:18].tobytes() not in captions


def test_an_mp4_has_every_frame_in_its_colours_at_sixty_a_second(
    second: Frames, tmp_path: Path
) -> None:
    av = pytest.importorskip("av")
    path = tmp_path / "pong.mp4"
    assert write(path, iter(second), 60) == 120
    with av.open(str(path)) as file:
        (stream,) = file.streams.video
        assert (stream.height, stream.width) == second[0].shape
        assert stream.average_rate == 60
        frames = list(file.decode(stream))
        assert float(file.duration) / av.time_base == pytest.approx(2.0)
    assert [frame.time for frame in frames] == pytest.approx([n / 60 for n in range(120)])
    for frame, expected in zip(frames[::20], second[::20], strict=True):
        difference = np.abs(frame.to_ndarray(format="rgb24").astype(int) - PALETTE[expected])
        assert difference.mean() < 4
    assert [p.name for p in tmp_path.iterdir()] == ["pong.mp4"]


def test_an_mp4_in_memory_has_the_frames_of_the_file(second: Frames, tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    path, file = tmp_path / "pong.mp4", io.BytesIO()
    write(path, iter(second), 60)
    assert write_into(file, ".mp4", iter(second), 60) == 120
    decoded = []
    for source in (str(path), io.BytesIO(file.getvalue())):
        with av.open(source) as opened:
            decoded.append([frame.to_ndarray(format="rgb24") for frame in opened.decode(video=0)])
    assert len(decoded[0]) == 120
    assert np.array_equal(*decoded)


def still_frames(path: Path) -> Iterator[tuple[NDArray[np.uint8], int]]:
    """Return frames and milliseconds of a GIF or WebP."""
    from PIL import Image

    with Image.open(path) as image:
        for n in range(image.n_frames):
            image.seek(n)
            image.load()
            yield np.asarray(image.convert("RGB")), int(image.info["duration"])


@pytest.mark.parametrize("kind", ["gif", "webp"])
@pytest.mark.parametrize("rate", [30, 20, 12])
def test_a_gif_and_a_webp_are_exact_in_pixels_and_time(
    kind: str, rate: int, second: Frames, tmp_path: Path
) -> None:
    frames = second[:: 60 // rate]
    path = tmp_path / f"pong.{kind}"
    assert write(path, iter(frames), rate) == len(frames)
    time = 0
    for picture, duration in still_frames(path):
        # Equal neighbours are one picture that lasts longer.
        first, last = round(time * rate / 1000), round((time + duration) * rate / 1000) - 1
        assert np.array_equal(picture, PALETTE[frames[first]])
        assert np.array_equal(picture, PALETTE[frames[last]])
        time += duration
    assert time == 2000


@pytest.mark.parametrize("rate", [60, 30, 20, 15, 12, 10])
@pytest.mark.parametrize("parts", [100, 1000])
def test_durations_neither_lose_nor_win_time(rate: int, parts: int) -> None:
    durations = durations_of(600, rate, parts)
    times = np.cumsum(durations)
    assert np.abs(times - np.arange(1, 601) * parts / rate).max() <= 0.5
    assert times[-1] == 600 * parts // rate


def test_twenty_seconds_are_less_than_a_megabyte(tmp_path: Path) -> None:
    path = tmp_path / "pong.gif"
    write(path, Film([part()], 2).frames(steps_between(30, 1), 600), 30)
    assert path.stat().st_size < 1_000_000


def test_a_film_of_nothing_and_a_failing_one_leave_no_file(tmp_path: Path, second: Frames) -> None:
    def fail() -> Iterator[NDArray[np.uint8]]:
        yield second[0]
        raise OSError("no more")

    for kind in ("gif", "webp", *(["mp4"] if _has("av") else [])):
        path = tmp_path / f"pong.{kind}"
        with pytest.raises(FilmError, match="at least one frame"):
            write(path, iter(()), 30)
        with pytest.raises(OSError, match="no more"):
            write(path, fail(), 30)
        with pytest.raises(OSError, match=r"[Nn]o such file"):
            write(tmp_path / "missing" / path.name, iter(second), 30)
    assert not list(tmp_path.iterdir())


def test_a_full_disk_names_the_film_and_not_its_part(tmp_path: Path, second: Frames) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        with pytest.raises(OSError) as raised:
            write(tmp_path / "pong.gif", iter(second), 30)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert raised.value.filename == str(tmp_path / "pong.gif")
    assert not list(tmp_path.iterdir())


def _has(module: str) -> bool:
    from importlib.util import find_spec

    return find_spec(module) is not None


def test_kinds_of_files() -> None:
    assert check_kind(Path("b.GIF")) == ".gif"
    for name, got in (("pong.avi", ".avi"), ("pong", "no ending")):
        with pytest.raises(FilmError, match=f"expected a file .mp4, .gif or .webp, got '{got}'"):
            check_kind(Path(name))


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(FilmError, match=r'pip install "av>=12" "pillow>=10.1"$'):
        check_kind(Path("pong.mp4"))
    assert check_kind(Path("pong.gif")) == ".gif"
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    with pytest.raises(FilmError, match=r'needs Pillow .*: pip install "av>=12" "pillow>=10.1"$'):
        check_kind(Path("pong.gif"))
