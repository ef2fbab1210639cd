"""PNG pictures, written without a library."""

from __future__ import annotations

import base64
import struct
import zlib

import numpy as np
from numpy.typing import NDArray

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PALETTE, _RGB = 3, 2


def encode_png(pixels: NDArray[np.uint8], palette: NDArray[np.uint8] | None = None) -> bytes:
    """Return a picture as PNG.

    pixels  : (rows, columns) indices of the palette, or (rows, columns, 3) red, green and blue
    palette : (up to 256, 3)

    Raises ValueError for other shapes. Source: W3C, "Portable Network Graphics", chunks IHDR, PLTE,
    IDAT and IEND.
    """
    if pixels.ndim != (3 if palette is None else 2) or pixels.dtype != np.uint8 or not pixels.size:
        raise ValueError(
            f"pixels: expected uint8 of shape (rows, columns) with a palette, else "
            f"(rows, columns, 3), got {pixels.dtype} of shape {pixels.shape}"
        )
    rows, columns = pixels.shape[:2]
    kind = _RGB if palette is None else _PALETTE
    lines = np.zeros((rows, 1 + pixels[0].size), np.uint8)  # each begins with its filter, none
    lines[:, 1:] = pixels.reshape(rows, -1)
    head = struct.pack(">IIBBBBB", columns, rows, 8, kind, 0, 0, 0)
    colours = b"" if palette is None else _chunk(b"PLTE", palette.astype(np.uint8).tobytes())
    data = _chunk(b"IDAT", zlib.compress(lines.tobytes(), 6))
    return _SIGNATURE + _chunk(b"IHDR", head) + colours + data + _chunk(b"IEND", b"")


def data_uri(data: bytes, kind: str) -> str:
    """Return bytes as a data: address.

    kind : their media type, as in image/png
    """
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
