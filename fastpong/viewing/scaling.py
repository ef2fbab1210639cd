"""Pictures in other sizes: each new pixel is the mean of the area that it covers.

Objects are small, so what differs from the background counts more than its area. With few colours
a mean may look like nothing in the picture. Then a pixel has one of the colours that it covers.

A frame of a game changes a few dozen pixels. Only what they cover is computed again.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_BALL = 8
"""Pixels of the smallest object. Where four new pixels share it, it must still be seen."""

_LEAST_EMPHASIS = 1.6


class Scaler:
    """Scale pictures of one size to another.

    source : rows and columns of the pictures given, palette indices, uint8
    target : rows and columns of the picture made, in colours
    colours: (256, 3) uint8, of the palette
    blend  : make means, else take one of the colours

    background : the palette index that most of the picture has
    emphasis   : factor of what differs from the background, up to its own colour
    """

    def __init__(
        self,
        source: tuple[int, int],
        target: tuple[int, int],
        colours: NDArray[np.uint8],
        *,
        blend: bool = True,
    ) -> None:
        self.source, self.target, self.blend = source, target, blend
        self.background = 0
        area = source[0] * source[1] / (target[0] * target[1])
        # Without blending, half of a pixel is enough for all of it.
        self.emphasis = max(_LEAST_EMPHASIS, area * (1 if blend else 2) / _BALL)
        self._colours = colours.astype(np.float32)
        self._rows, self._columns = (_Axis(a, b) for a, b in zip(source, target, strict=True))
        self._before: NDArray[np.uint8] | None = None

    def update(
        self, picture: NDArray[np.uint8]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.uint8]]:
        """Return the target's pixels that changed since the picture before.

        Returns their rows, their columns, (n,) int64, and their colours, (n, 3) uint8.
        """
        changed = None if self._before is None else np.flatnonzero(picture != self._before)
        self._before = picture
        if changed is None or len(changed) > picture.size // 4:
            self.background = int(np.bincount(picture.ravel()).argmax())
            rows, columns = np.divmod(np.arange(self.target[0] * self.target[1]), self.target[1])
        else:
            rows, columns = self._reached(changed)
        return rows, columns, self._mixed(picture, rows, columns)

    def _reached(self, changed: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the target's pixels that some source pixels are part of."""
        rows, columns = np.divmod(changed, self.source[1])
        targets = (
            self._rows.targets[rows][:, :, None] * self.target[1]
            + self._columns.targets[columns][:, None, :]
        )
        return np.divmod(np.unique(targets), self.target[1])

    def _mixed(
        self, picture: NDArray[np.uint8], rows: NDArray[np.int64], columns: NDArray[np.int64]
    ) -> NDArray[np.uint8]:
        """Return the colours of some of the target's pixels."""
        across, down = self._columns, self._rows
        parts = picture[down.sources[rows][:, :, None], across.sources[columns][:, None, :]]
        shares = down.shares[rows][:, :, None] * across.shares[columns][:, None, :]
        found, base = self._colours[parts], self._colours[self.background]
        mean = np.einsum("nij,nijc->nc", shares, found)
        objects = (shares * (parts != self.background)).sum(axis=(1, 2))
        more = np.minimum(self.emphasis, 1 / np.maximum(objects, 1e-6))
        mean = base + more[:, None] * (mean - base)
        if not self.blend:
            mean = self._nearest(mean, shares, found)
        rounded: NDArray[np.uint8] = (mean + 0.5).astype(np.uint8)
        return rounded

    def _nearest(
        self, mean: NDArray[np.float32], shares: NDArray[np.float32], found: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Return the colour of each pixel's parts that is nearest to its mean."""
        distances = np.abs(found - mean[:, None, None]).sum(axis=3)
        distances[shares == 0] = np.inf
        n, parts = len(mean), shares.shape[1] * shares.shape[2]
        best = distances.reshape(n, parts).argmin(axis=1)
        nearest: NDArray[np.float32] = found.reshape(n, parts, 3)[np.arange(n), best]
        return nearest


class _Axis:
    """Map one axis to another, of another length.

    sources : (target, k) the source's places that a target's place covers
    shares  : (target, k) their shares of it, 0 where it covers fewer
    targets : (source, k) the target's places that a source's place is part of, some repeated
    """

    def __init__(self, source: int, target: int) -> None:
        edges = np.arange(target + 1) * source / target
        first = np.floor(edges[:-1] + 1e-9).astype(np.int64)
        last = np.ceil(edges[1:] - 1e-9).astype(np.int64) - 1
        places = first[:, None] + np.arange(int((last - first).max()) + 1)
        low = np.maximum(places, edges[:-1, None])
        high = np.minimum(places + 1, edges[1:, None])
        shares = np.maximum(high - low, 0.0)
        self.sources = np.minimum(places, source - 1)
        self.shares = (shares / shares.sum(axis=1, keepdims=True)).astype(np.float32)
        reached = [np.flatnonzero((first <= place) & (place <= last)) for place in range(source)]
        most = max(map(len, reached))
        self.targets = np.array([np.resize(places, most) for places in reached])
