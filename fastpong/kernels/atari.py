"""Frames of any Atari game: pooled, grey, resized, stacked, as other agents see them."""

from __future__ import annotations

import numpy as np

from fastpong.arrays import Array
from fastpong.kernels.arguments import U8, Choice, In, InPlace, Item, Out, Shaped, Size
from fastpong.kernels.parts import any_bytes, batch_of_one, bits, images, lines, one_image, ravel
from fastpong.kernels.runner import Runner
from fastpong.kernels.spec import Kernel

COMPATS = ("gymnasium", "sb3", "cleanrl")
"""Whose frames: grey, pooled, resized; pooled, grey, resized; or pooled, resized, grey."""

PADDINGS = ("reset", "zero")
"""How a stack begins, in the words of gymnasium's FrameStackObservation."""

_COMPAT, _PADDING = Choice("compat", COMPATS), Choice("padding", PADDINGS)
_SIZE = Size("size", ("H", "W"), ("h", "w"), (6, 5))
_SIZES = {"": {"N": 2, "K": 3, "H": 13, "W": 9, "h": 6, "w": 5}}
_PALETTE = In("palette", U8, (256, 3), None, any_bytes)


def _kernel(name: str, raw: str, public: str, *items: Item) -> Kernel:
    return Kernel(name, "atari", items, _SIZES, exact=True, raw=raw, public=public)


def _max_pool(name: str, *dims: str | int) -> Kernel:
    return _kernel(
        name, "max_pool_frames", "max_pool_frames",
        In("frame", U8, dims, None, any_bytes, ravel),
        In("previous", U8, dims, None, any_bytes, ravel),
        Out("out", U8, dims, shaped=ravel, aliases=("frame", "previous")),
    )  # fmt: skip


def _grayscale(name: str, *dims: str) -> Kernel:
    return _kernel(
        name, "grayscale", "grayscale",
        In("frame", U8, (*dims, 3), None, any_bytes, lines),
        _COMPAT,
        Out("out", U8, dims, shaped=ravel),
    )  # fmt: skip


def _resize(
    name: str, batch: tuple[str, ...], colours: tuple[int, ...], shaped: Shaped | None
) -> Kernel:
    return _kernel(
        name, "resize_area", "resize_area",
        In("frame", U8, (*batch, "H", "W", *colours), None, any_bytes, shaped),
        _SIZE,
        Out("out", U8, (*batch, "h", "w", *colours), shaped=shaped),
    )  # fmt: skip


def _frame(raw: str, batch: bool, *others: Item) -> Kernel:
    many, shaped = (("N",), None) if batch else ((), batch_of_one)
    dims = (*many, "H", "W", *((3,) if raw == "atari_frame_rgb" else ()))
    return _kernel(
        f"{raw}_batch" if batch else raw, raw, "atari_frame",
        In("frame", U8, dims, None, any_bytes, shaped),
        In("previous", U8, dims, None, any_bytes, shaped),
        *others,
        _SIZE,
        _COMPAT,
        Out("out", U8, (*many, "h", "w"), shaped=shaped),
    )  # fmt: skip


def _push(name: str, batch: tuple[str, ...], shaped: Shaped | None) -> Kernel:
    return _kernel(
        name, "frame_stack_push", "frame_stack_push",
        InPlace("stack", U8, (*batch, "K", "H", "W"), None, any_bytes, shaped),
        In("frame", U8, (*batch, "H", "W"), None, any_bytes, shaped),
        In("fresh", U8, batch or (1,), None, bits),
        _PADDING,
    )  # fmt: skip


MAX_POOL_FRAMES = _max_pool("max_pool_frames", "H", "W")
MAX_POOL_FRAMES_BATCH = _max_pool("max_pool_frames_batch", "N", "H", "W")
MAX_POOL_FRAMES_RGB = _max_pool("max_pool_frames_rgb", "N", "H", "W", 3)

GRAYSCALE = _grayscale("grayscale", "H", "W")
GRAYSCALE_BATCH = _grayscale("grayscale_batch", "N", "H", "W")

RESIZE_AREA = _resize("resize_area", (), (), one_image)
RESIZE_AREA_BATCH = _resize("resize_area_batch", ("N",), (), images)
RESIZE_AREA_RGB = _resize("resize_area_rgb", (), (3,), batch_of_one)
RESIZE_AREA_RGB_BATCH = _resize("resize_area_rgb_batch", ("N",), (3,), None)

FRAME_STACK_PUSH = _push("frame_stack_push", (), batch_of_one)
FRAME_STACK_PUSH_BATCH = _push("frame_stack_push_batch", ("N",), None)

ATARI_FRAME = _frame("atari_frame", False)
ATARI_FRAME_BATCH = _frame("atari_frame", True)
ATARI_FRAME_PALETTE = _frame("atari_frame_palette", False, _PALETTE)
ATARI_FRAME_PALETTE_BATCH = _frame("atari_frame_palette", True, _PALETTE)
ATARI_FRAME_RGB = _frame("atari_frame_rgb", False)
ATARI_FRAME_RGB_BATCH = _frame("atari_frame_rgb", True)


def _rank(array: object) -> int:
    """Return the number of axes of an array, or of anything like it."""
    rank: int = getattr(array, "ndim", 0)
    return rank


def _is_rgb(frame: Array) -> bool:
    """Return whether the last axis is red, green and blue."""
    return _rank(frame) == 4 or (_rank(frame) == 3 and frame.shape[2] == 3)


class Atari(Runner):
    """The part of a ``Backend`` that this family adds."""

    def max_pool_frames(self, frame: Array, previous: Array, out: Array | None = None) -> Array:
        """Return the maximum of two frames, pixel by pixel.

        frame, previous : (H, W), (H, W, 3), (N, H, W) or (N, H, W, 3) uint8
        out             : the same shape, may be one of them

        Exact. Source: Mnih et al. (2015): a console draws some objects in every other frame.
        """
        by_rank = {2: MAX_POOL_FRAMES, 4: MAX_POOL_FRAMES_RGB}
        kernel = by_rank.get(_rank(frame), MAX_POOL_FRAMES_BATCH)
        return self._run_one(kernel, frame, previous, out)

    def grayscale(self, frame: Array, compat: str = "gymnasium", out: Array | None = None) -> Array:
        """Return the grey values of colours.

            gymnasium      round(0.2989 R + 0.5870 G + 0.1140 B), as ALE's getScreenGrayscale
            sb3, cleanrl   (9798 R + 19235 G + 3735 B + 2^14) >> 15, as cv2.COLOR_RGB2GRAY

        frame : (H, W, 3) or (N, H, W, 3) uint8
        out   : (H, W) or (N, H, W) uint8

        Exact.
        """
        kernel = GRAYSCALE_BATCH if _rank(frame) == 4 else GRAYSCALE
        return self._run_one(kernel, frame, compat, out)

    def resize_area(
        self, frame: Array, size: int | tuple[int, int] = 84, out: Array | None = None
    ) -> Array:
        """Resize a frame by the areas of its pixels.

        Byte for byte ``cv2.resize(frame, (columns, rows), interpolation=cv2.INTER_AREA)``, also
        where it enlarges. See docs/design/atari-frames.md for the formula.

        frame : (H, W), (H, W, 3), (N, H, W) or (N, H, W, 3) uint8. Three axes, the last of length
                3, are one frame in colour
        size  : (rows, columns), or a number for both
        out   : (rows, columns) instead of (H, W)
        """
        if _is_rgb(frame):
            kernel = RESIZE_AREA_RGB if _rank(frame) == 3 else RESIZE_AREA_RGB_BATCH
        else:
            kernel = RESIZE_AREA if _rank(frame) == 2 else RESIZE_AREA_BATCH
        return self._run_one(kernel, frame, size, out)

    def frame_stack_push(
        self,
        stack: Array,
        frame: Array,
        fresh: Array | bool | None = None,
        padding: str = "reset",
    ) -> None:
        """Append a frame to a stack, in place, and drop its oldest.

        stack   : (K, H, W), or (N, K, H, W) for N environments, uint8, the oldest frame first
        frame   : (H, W) or (N, H, W)
        fresh   : whether an episode begins, a bool or (N,) bool or uint8. None: nowhere
        padding : such a stack is filled with the frame ("reset", gymnasium's default) or with
                  zeros ("zero", as SB3's VecFrameStack)
        """
        batch = _rank(stack) != 3
        if fresh is None or isinstance(fresh, bool | np.bool_):
            fresh = np.full(len(stack) if _rank(stack) == 4 else 1, bool(fresh))
        if isinstance(fresh, np.ndarray) and fresh.dtype == np.bool_:
            fresh = fresh.view(np.uint8)
        kernel = FRAME_STACK_PUSH_BATCH if batch else FRAME_STACK_PUSH
        self._run(kernel, stack, frame, fresh, padding)

    def atari_frame(
        self,
        frame: Array,
        previous: Array | None = None,
        palette: Array | None = None,
        size: int | tuple[int, int] = 84,
        compat: str = "gymnasium",
        out: Array | None = None,
    ) -> Array:
        """Return the frame that an agent sees of two screens.

            gymnasium   AtariPreprocessing: grey, the maximum of both, resized
            sb3         MaxAndSkipEnv, WarpFrame: the maximum of both, grey, resized
            cleanrl     MaxAndSkipEnv, ResizeObservation, GrayScaleObservation (gymnasium 0.29):
                        the maximum of both, resized, grey

        Byte for byte, with ``grayscale`` and ``resize_area`` of here. In one pass over rows, in
        which those that equal the row above are not computed again.

        frame, previous : (H, W) or (N, H, W) uint8, grey values, or palette indices if there is a
                          ``palette``, or (H, W, 3) or (N, H, W, 3) colours. N environments are one
                          call. ``previous`` None: nothing to pool
        palette         : (256, 3) uint8, the colours of the indices
        size            : (rows, columns), or a number for both
        out             : (rows, columns) or (N, rows, columns) uint8
        """
        previous = frame if previous is None else previous
        if palette is not None:
            kernel = ATARI_FRAME_PALETTE if _rank(frame) == 2 else ATARI_FRAME_PALETTE_BATCH
            return self._run_one(kernel, frame, previous, palette, size, compat, out)
        if _is_rgb(frame):
            kernel = ATARI_FRAME_RGB if _rank(frame) == 3 else ATARI_FRAME_RGB_BATCH
        else:
            kernel = ATARI_FRAME if _rank(frame) == 2 else ATARI_FRAME_BATCH
        return self._run_one(kernel, frame, previous, size, compat, out)
