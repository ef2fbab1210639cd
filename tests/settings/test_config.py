"""Settings: defaults of the reference, exact TOML round trips, every wrong value named."""

from __future__ import annotations

import dataclasses
import math
import os
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastpong.agents import AGENTS
from fastpong.settings.config import Config
from fastpong.settings.fields import check, fields, option, spelled
from fastpong.settings.schedules import Schedule
from fastpong.settings.stages import Stage

REFERENCE = {
    **{"hidden": 200, "batch_size": 10, "learning_rate": 1e-4, "gamma": 0.99},
    "rmsprop_decay": 0.99,
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """An agent's, with an option of every type."""

    count: int = option(3, "things", minimum=1, maximum=5)
    rate: float = option(0.5, "speed", above=0, below=1)
    note: str = option("none", "any text")
    limit: int | None = option(None, "a limit", minimum=1)
    speed: Schedule = option(Schedule(1.0, 1.0), "a schedule", above=0)
    lag: int = option(0, "updates")

    def __post_init__(self) -> None:
        check(self)


class Agent:
    Settings = Settings
    defaults: ClassVar[dict[str, int]] = {"episodes": 7}


@pytest.fixture
def agent(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setitem(AGENTS, "mine", Agent)
    return "mine"


def through_toml(settings: Config, directory: Path) -> Config:
    path = directory / "config.toml"
    path.write_text(settings.to_toml(), encoding="utf-8")
    values = Config.load(path)
    assert values == settings.flat()
    assert {name: type(value) for name, value in values.items()} == {
        name: type(value) for name, value in settings.flat().items()
    }
    return Config.build(values)


def test_the_defaults_are_the_reference() -> None:
    settings = Config()
    assert settings == Config.build({})
    assert {name: settings.flat()[name] for name in REFERENCE} == REFERENCE
    assert settings.env == "Pong-v0"
    assert 1 <= settings.workers <= len(os.sched_getaffinity(0))
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.seed = 1  # type: ignore[misc]


@given(
    rate=st.floats(0, 1, exclude_min=True, exclude_max=True),
    learning_rate=st.floats(min_value=0, exclude_min=True, allow_infinity=False),
    seed=st.integers(min_value=0),
)
def test_numbers_survive_toml_exactly(
    tmp_path_factory: pytest.TempPathFactory, rate: float, learning_rate: float, seed: int
) -> None:
    directory = tmp_path_factory.getbasetemp()
    values = {"gamma": rate, "learning_rate": learning_rate, "seed": seed, "env": "ALE/Pong-v5"}
    settings = Config.build(values)
    assert through_toml(settings, directory) == settings


@given(note=st.text(st.characters(exclude_categories=["Cs"])))
def test_text_survives_toml_exactly(tmp_path_factory: pytest.TempPathFactory, note: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(AGENTS, "mine", Agent)
        settings = Config.build({"agent": "mine", "note": note})
        assert through_toml(settings, tmp_path_factory.getbasetemp()) == settings


def test_every_setting_has_its_help_line_in_toml() -> None:
    text = Config().to_toml()
    for cls in (Config, AGENTS["karpathy"].Settings):
        for name, field in fields(cls).items():
            assert field.help[1:] in text
            assert f"\n{name} = " in text or f"\n# {name}: none" in text


def test_an_int_is_a_float_but_a_bool_is_no_int() -> None:
    gamma = Config.build({"gamma": 1}).flat()["gamma"]
    assert (gamma, type(gamma)) == (1.0, float)
    for name in ("workers", "gamma"):
        with pytest.raises(ValueError, match=f"{name}: expected .* got True"):
            Config.build({name: True})


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("workers", 0, "workers: expected an integer in .1, 1024., got 0"),
        ("batch_size", 0, r"batch_size: expected an integer in \[1, 65536\], got 0"),
        ("hidden", -1, r"hidden: expected an integer in \[1, 16384\], got -1"),
        ("hidden", 1.0, r"hidden: expected an integer in \[1, 16384\], got 1.0"),
        ("hidden", "200", r"hidden: expected an integer in \[1, 16384\], got '200'"),
        ("gamma", 1.01, r"gamma: expected a number in \[0, 1\], got 1.01"),
        ("gamma", -0.01, "gamma: expected"),
        ("gamma", math.nan, "gamma: expected .* got nan"),
        ("learning_rate", math.inf, "learning_rate: expected .* got inf"),
        ("learning_rate", 0, "learning_rate: expected a number > 0, got 0"),
        ("learning_rate", 10**400, "learning_rate: expected"),
        ("seed", -1, "seed: expected an integer >= 0, got -1"),
        ("save_every", 0, "save_every: expected"),
        ("episodes", 0, "episodes: expected"),
        ("env", "Pong", "env: expected one of Pong-v0, .*, got 'Pong'"),
        ("env", ["Pong-v0"], "env: expected"),
        ("agent", "a3c", "agent: expected one of karpathy, keras, ppo, dqn, got 'a3c'"),
        ("agent", {}, "agent: expected"),
        ("emulator", "stella", "emulator: expected one of auto, console, ale, got 'stella'"),
        ("backend", "cuda", "backend: expected one of cython, numba, numpy, got 'cuda'"),
        ("dtype", "float16", "dtype: expected one of float32, float64, got 'float16'"),
        ("hiden", 3, "hiden: .* unknown name; the nearest is hidden"),
        ("batch-size", 3, "the nearest is batch_size"),
        ("Σ", 3, "Σ: .* unknown name"),
        ("hyper", {"hidden": 3}, "hyper: expected a setting, got a table"),
        ("lr", 3, "lr: is called learning_rate here"),
        ("epsilon", 3, "epsilon: not here, because .*rmsprop_eps .*adam_eps"),
        ("stages", 3, "stages: expected tables"),
        ("stages", [3], "stages: expected tables"),
        ("from_step", 0, "from_step: .* unknown name"),
        ("until", "never", r"until: expected a number in \[-21, 21\], got 'never'"),
    ],
)
def test_wrong_values_are_named(name: str, value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Config.build({name: value})


def test_bounds_are_where_they_are_declared(agent: str) -> None:
    for good in ({"count": 1}, {"count": 5}, {"rate": 5e-324}, {"rate": 1 - 2**-53}, {"note": ""}):
        Config.build({"agent": agent} | good)
    for bad in ({"count": 0}, {"count": 6}, {"rate": 0}, {"rate": 1}, {"note": 1}, {"note": None}):
        (name,) = bad
        with pytest.raises(ValueError, match=f"^{name}: expected"):
            Config.build({"agent": agent} | bad)
    assert [fields(Settings)[name].expected for name in ("count", "rate", "note", "speed")] == [
        *("an integer in [1, 5]", "a number > 0 and < 1", "text"),
        "a number > 0, or linear:START:END:STEPS",
    ]


def test_a_schedule_is_a_number_or_text(agent: str, tmp_path: Path) -> None:
    for value, schedule, text in [
        (2, Schedule(2.0, 2.0), 2.0),
        ("0.5", Schedule(0.5, 0.5), 0.5),
        ("linear:2:1:9", Schedule(2.0, 1.0, 9), "linear:2.0:1.0:9"),
    ]:
        settings = Config.build({"agent": agent, "speed": value})
        assert settings.settings == Settings(speed=schedule)
        assert settings.flat()["speed"] == text
        assert through_toml(settings, tmp_path) == settings
    wrong = [0, "fast", "linear:1:0:9", "linear:1:1:0", "linear:1:1", "cubic:1:1:1", True, "nan"]
    for value in [*wrong, 10**400, "linear:inf:1:1"]:
        with pytest.raises(ValueError, match=r"^speed: expected a number > 0, or linear:START"):
            Config.build({"agent": agent, "speed": value})


def test_none_is_left_out(agent: str, tmp_path: Path) -> None:
    settings = Config.build({"agent": agent})
    assert settings.episodes == 7, "the agent's own default"
    assert not {"limit", "until", "total_timesteps"} & {*settings.flat()}
    assert Config.build({"agent": agent, "limit": None}) == settings
    assert through_toml(settings, tmp_path) == settings
    given = Config.build({"agent": agent, "limit": 3, "until": 18, "total_timesteps": 5})
    assert (given.flat()["limit"], given.until, given.total_timesteps) == (3, 18.0, 5)
    assert through_toml(given, tmp_path) == given


def test_settings_belong_to_the_agent(agent: str) -> None:
    settings = Config.build({"agent": agent, "count": 4})
    assert (settings.agent, settings.settings) == (agent, Settings(count=4))
    with pytest.raises(
        ValueError,
        match="hidden: expected a setting of agent mine, got one of agent karpathy or p",
    ):
        Config.build({"agent": agent, "hidden": 4})
    with pytest.raises(ValueError, match="settings: expected the Settings of agent 'karpathy'"):
        Config(stages=(Stage(agent="karpathy", settings=Settings()),))
    with pytest.raises(ValueError, match="seed"):
        Config(seed=-1)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"seed = 1\nhidden = = 2\n", "line 2"),
        (b"seed = 1\nseed = 2\n", "line 2"),
        (b"# \xff\n", "utf-8"),
        (b"seed = " + b"9" * 5000, "config.toml"),
        (b"[hyper\n", "line 1"),
    ],
)
def test_what_is_no_toml_is_named_by_file_and_line(
    tmp_path: Path, content: bytes, message: str
) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        Config.load(path)
    assert str(path) in str(caught.value)


def test_a_resumed_run_may_change_only_what_the_weights_do_not_depend_on() -> None:
    assert Config().fixed().keys() == {
        *("agent", "env", "seed", "dtype", "frame_skip", "hidden", "batch_size", "lag"),
        *("gamma", "rmsprop_decay", "rmsprop_eps"),
    }


def test_names_of_version_0_1_are_accepted() -> None:
    assert Config.build({"agent": "pg"}) == Config()
    assert Config.build({"agent": "conv"}) == Config.build({"agent": "keras"})


@pytest.mark.parametrize(
    ("name", "value", "typed"),
    [
        ("image_conv", True, "--image-conv"),
        ("image_conv", False, "--no-image-conv"),
        ("until", None, "--until never"),
        ("gamma", 0.5, "--gamma 0.5"),
        ("init_from", "my run", "--init-from 'my run'"),
    ],
)
def test_settings_are_spelled_as_they_are_typed(name: str, value: object, typed: str) -> None:
    assert spelled(name, value) == typed
