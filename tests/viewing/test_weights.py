"""What hidden units see: known weights, the projection by the convolution itself, and scales."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fastpong import pretrained
from fastpong.agents import make_plan
from fastpong.agents.keras.agent import shapes
from fastpong.agents.pyramid import Level, Pyramid
from fastpong.arrays import Arrays
from fastpong.oracle.conv import convolve
from fastpong.settings.config import Config
from fastpong.storage.finding import find
from fastpong.training.trained import Trained, read_trained
from fastpong.viewing.weights import (
    channel_images,
    channel_names,
    project,
    read_sections,
    scale_names,
    split,
    strongest,
)


def trained(parameters: Arrays | None = None, **settings: object) -> Trained:
    """Return an agent, with initial weights by default."""
    config = Config.build({"backend": "numpy", **settings})
    planned = make_plan(config.env, config.stages, "numpy", "float32").stages[0]
    found = planned.spec.initial_parameters(0) | dict(parameters or {})
    return Trained(Path("x.json"), config, planned, found, 7, 1000)


def test_units_stand_by_the_product_of_both_weights() -> None:
    inputs = np.array([[3.0, 0.0, 1.0, 10.0], [4.0, 1.0, 0.0, 0.0]])  # lengths 5, 1, 1, 10
    assert strongest(inputs, np.array([1.0, -9.0, 2.0, 0.1]), 3) == [1, 0, 2]
    assert strongest(inputs, np.array([[1.0, 0], [0, 1], [9, 9], [0, 0]]), 9) == [2, 0, 1, 3]


def test_a_unit_of_karpathy_is_its_frame() -> None:
    w1 = np.zeros((6400, 3), np.float32)
    w1[80 * 12 + 34, 2], w1[80 * 79, 0] = 5, -2  # row 12, column 34; the lowest left pixel
    w1[:, 1] = 1e-6
    w2 = np.array([-1, 1, 0.5], np.float32)
    (section,) = read_sections(trained({"w1": w1, "w2": w2}, agent="karpathy", hidden=3), 2)
    assert section.title == (
        "Weights of the difference frame, 2 of 3 hidden units, the strongest first"
    )
    assert [unit.name for unit in section.units] == ["2: up", "0: down"]
    image = section.units[0].images[0]
    assert image.shape == (80, 80)
    assert np.argwhere(image).tolist() == [[12, 34]] and image[12, 34] == 5
    assert section.units[1].images[0][79, 0] == -2


@pytest.mark.parametrize("image_conv", [False, True])
def test_the_projection_is_the_network_without_its_relu(image_conv: bool) -> None:
    rng = np.random.default_rng(3)
    kernel = rng.standard_normal(shapes(image_conv)["kernel"])
    w = rng.standard_normal((shapes(image_conv)["w1"][0], 5))
    frames = rng.integers(-1, 2, (4, 80, 80)).astype(np.float64)
    channels = 1 if image_conv else 80
    maps = convolve(frames.reshape(4, -1, 80, channels), kernel, np.zeros(32))
    expected = maps.reshape(4, -1) @ w
    found = np.einsum("trc,rcu->tu", frames, project(kernel, w))
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("image_conv", [False, True])
def test_filters_are_what_meets_a_frame(image_conv: bool) -> None:
    """The filter's image, laid over the frame's middle, gives what the convolution computes."""
    agent = trained(agent="keras", image_conv=image_conv)
    filters, units = read_sections(agent, 3)
    kernel = agent.parameters["kernel"].astype(np.float64)
    frame = np.random.default_rng(1).standard_normal((80, 80))
    maps = convolve(frame.reshape(1, -1, 80, kernel.shape[2]), kernel, np.zeros(32))[0]
    # Two rows of padding come first, so position 5 begins at row (and column) 13.
    part, place = (frame[13:19, 13:19], (5, 5)) if image_conv else (frame[13:19], (0, 5))
    for unit in filters.units:
        expected = maps[place][int(unit.name)]
        assert np.sum(unit.images[0] * part) == pytest.approx(expected, rel=1e-6, abs=1e-6)
    assert len(filters.units) == 32
    assert len(units.units) == 3 and units.units[0].images[0].shape == (80, 80)


TREES = {
    "ppo": Pyramid(2, (Level(4, 4, 0.35), Level(8, 8, 0.3), Level(16, 16, 0.3)), False),
    "dqn": Pyramid(4, (Level(8, 8, 0.3), Level(160, 4, 0.3), Level(4, 40, 0.3)), True, 1, 2),
}


@pytest.mark.parametrize("tree", TREES.values(), ids=TREES)
def test_scales_add_up_to_the_weights(tree: Pyramid) -> None:
    weights = np.random.default_rng(0).standard_normal(tree.base)
    images = channel_images(tree, weights)
    assert len(images) == len(channel_names(tree)) == tree.channels
    for channel, image in enumerate(images):
        parts = split(tree, weights, channel)
        assert len(parts) == len(scale_names(tree)) == len(tree.levels) + 1
        np.testing.assert_allclose(sum(parts), image, rtol=1e-9, atol=1e-12)
        assert image.shape == (80, 80)


def test_a_weight_of_one_cell_by_hand() -> None:
    tree = TREES["ppo"]
    weights = np.zeros(tree.base)
    weights[1600 + 40 * 3 + 10] = 64.0  # the difference: cell row 3, column 10 of 40x40
    assert scale_names(tree) == ("16x16", "8x8", "4x4", "2x2")
    image = channel_images(tree, weights)[1]
    assert (image[6:8, 20:22] == 64).all() and image.sum() == 4 * 64
    largest, _, _, own = split(tree, weights, 1)
    # Of a cell of 16x16 pixels that holds 64 base cells: its mean is 1, there and nowhere else.
    assert (largest[0:16, 16:32] == 1).all() and largest.sum() == 256
    assert own[6, 20] == 64 - 16  # the mean of four base cells is 16, and is taken away
    np.testing.assert_array_equal(split(tree, weights, 0), np.zeros((4, 80, 80)))


def test_a_weight_of_one_scale_is_found_there() -> None:
    tree = TREES["ppo"]
    cells = np.random.default_rng(0).standard_normal((10, 10))
    cells -= cells.reshape(5, 2, 5, 2).mean(axis=(1, 3)).repeat(2, 0).repeat(2, 1)
    weights = np.concatenate([np.kron(cells, np.ones((4, 4))).ravel(), np.zeros(1600)])
    parts = split(tree, weights, 0)
    sizes = [np.abs(part).max() for part in parts]
    assert sizes[1] > 0.5 and max(sizes[0], *sizes[2:]) < 1e-12


@pytest.mark.parametrize("name", pretrained.NAMES)
def test_pretrained_agents_have_pictures(name: str) -> None:
    agent = read_trained(find(Path(name))[0], "numpy")
    sections = read_sections(agent, 5)
    assert len(sections) == (1 if name == "karpathy" else 2)  # the others have filters or scales
    for section in sections:
        assert section.units
        for unit in section.units:
            assert len(unit.images) == len(section.columns)
            assert all(np.ptp(image) > 0 for image in unit.images[:1])
