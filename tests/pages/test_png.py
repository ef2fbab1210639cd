"""PNG pictures, as Pillow reads them."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest

from fastpong.pages.png import data_uri, encode_png

Image = pytest.importorskip("PIL.Image")


def test_a_picture_with_a_palette(rng: np.random.Generator) -> None:
    palette = rng.integers(0, 256, (256, 3), np.uint8)
    pixels = rng.integers(0, 256, (210, 160), np.uint8)
    with Image.open(io.BytesIO(encode_png(pixels, palette))) as image:
        assert image.mode == "P"
        np.testing.assert_array_equal(np.asarray(image.convert("RGB")), palette[pixels])


def test_a_picture_of_colours(rng: np.random.Generator) -> None:
    pixels = rng.integers(0, 256, (3, 5, 3), np.uint8)[:, ::-1]
    with Image.open(io.BytesIO(encode_png(pixels))) as image:
        np.testing.assert_array_equal(np.asarray(image), pixels)


@pytest.mark.parametrize(
    "pixels", [np.zeros((2, 2), np.uint8), np.zeros((2, 2, 3)), np.zeros((0, 2, 3), np.uint8)]
)
def test_other_shapes_are_refused(pixels: np.ndarray) -> None:
    with pytest.raises(ValueError, match="pixels: expected uint8 of shape"):
        encode_png(pixels)


def test_a_data_address() -> None:
    kind, _, data = data_uri(b"\0\xff", "image/png").partition(",")
    assert kind == "data:image/png;base64"
    assert base64.b64decode(data) == b"\0\xff"


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(5)
