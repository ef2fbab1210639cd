"""A replay buffer that stores every frame once.

    buffer = ReplayBuffer(100_000, (84, 84), n_envs=8, n_step=3, seed=1)
    buffer.add(frames, actions, rewards, terminated, truncated, next_frames)
    batch = buffer.sample(32)

Frames stand in a ring of slots for each environment. A step takes one slot, and the end of an
episode one more, for its last frame. Stacks are put together when they are sampled.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Self

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from fastpong.arrays import Array, Order
from fastpong.kernels import checks
from fastpong.kernels.arguments import Call
from fastpong.kernels.backend import get_backend
from fastpong.kernels.replay_input import (
    ReplayBatch,
    StepInput,
    as_array,
    check_batch,
    empty_batch,
    raw_batch,
)
from fastpong.kernels.replay_settings import (
    Prioritized,
    ReplaySettings,
    Shape,
    generator_of,
    priorities_of,
)
from fastpong.kernels.sumtree import INDICES
from fastpong.kernels.sumtree import SumTree as SumTree

if TYPE_CHECKING:
    from fastpong.kernels.replay_file import Reader

SAMPLED = 4
"""Flag of a slot whose step may be sampled: all frames of its stack are stored."""


class ReplayBuffer:
    """Store steps of environments, and sample transitions.

    capacity          : frames, of all environments together: capacity // n_envs slots for each
    observation_shape : of one frame, such as (84, 84)
    dtype             : of frames
    frame_stack       : frames of an observation, 1 to 256
    padding_type      : "reset" fills stacks up with the episode's first frame, "zero" with zeros,
                        as gymnasium's FrameStackObservation
    n_step, gamma     : rewards are discounted sums over n steps, see ``ReplayBatch``
    action            : an example, for shape and dtype, such as ``env.action_space.sample()``
    prioritized       : None samples uniformly
    seed              : an integer, a generator, or None for any
    backend           : "cython", "numba" or "numpy", None is the default one

    A slot takes the bytes of a frame and of an action, 6 more, and 10.3 with priorities. So
    stacks of four take a quarter of the memory that they would take whole, and an eighth where
    their successors would be stored too. Memory is reserved at once, and used as it fills. A step
    can be sampled until the first frame of its stack is overwritten. Only one thread at a time may
    call an object's methods.
    """

    def __init__(
        self, capacity: int, observation_shape: Shape, dtype: DTypeLike = np.uint8, *,
        n_envs: int = 1, frame_stack: int = 4, padding_type: str = "reset", n_step: int = 1,
        gamma: float = 0.99, action: ArrayLike = 0, prioritized: Prioritized | None = None,
        seed: int | np.random.Generator | None = None, backend: str | None = None,
    ) -> None:  # fmt: skip
        example = as_array("action", action)
        given: Any = (
            capacity, observation_shape, dtype, n_envs, frame_stack, padding_type, n_step, gamma,
            example.shape, example.dtype, prioritized,
        )  # fmt: skip
        self._rng = generator_of(seed)
        self._begin(ReplaySettings(*given).checked(), backend)

    def _begin(self, settings: ReplaySettings, backend: str | None) -> None:
        """Allocate an empty buffer."""
        self.settings, self._backend = settings, backend
        self._raw = get_backend(backend).raw.family("replay")
        self._input, self._storage = StepInput(settings), settings.storage()
        # The newest slot of each environment, its slots in use, whether its episode goes on.
        self._heads: Array = np.array([(-1, 0, 0)] * settings.n_envs, np.int64)
        most = settings.n_envs * (2 * settings.frame_stack + 1)
        self._changes = np.empty(most, np.int64), np.empty(most)
        self._powers = np.multiply.accumulate([1.0, *[settings.gamma] * settings.n_step])
        self._count, self._highest = 0, 1.0
        self._known: tuple[object, list[int], ReplayBatch | None] = None, [], None
        rows = settings.n_envs * settings.slots
        self.tree = None if settings.prioritized is None else SumTree(rows, backend)

    def __getstate__(self) -> dict[str, object]:
        return {name: v for name, v in vars(self).items() if name not in ("_raw", "_known")}

    def __setstate__(self, state: dict[str, object]) -> None:
        vars(self).update(state, _known=(None, [], None))
        self._raw = get_backend(self._backend).raw.family("replay")

    def __len__(self) -> int:
        """Return the number of transitions that can be sampled."""
        return self._count

    @property
    def nbytes(self) -> int:
        """Return the bytes of memory that a full buffer takes."""
        tree = 0 if self.tree is None else self.tree.nbytes
        return sum(array.nbytes for array in (*self._storage, self._heads)) + tree

    def add(
        self, frames: Array, actions: ArrayLike, rewards: ArrayLike, terminated: ArrayLike,
        truncated: ArrayLike, next_frames: Array, valid: ArrayLike | None = None,
    ) -> None:  # fmt: skip
        """Store a step of every environment.

        frames      : (n_envs, *observation_shape), the newest frames when the actions were chosen
        actions     : (n_envs, ...)
        rewards     : (n_envs,), stored as float32
        terminated, truncated : (n_envs,) booleans or numbers
        next_frames : those after the actions, before any reset: the last ones where an episode
                      ended, which gymnasium's vector environments give as ``final_obs``
        valid       : (n_envs,), false where there was no step but only a reset

        Of a single environment the first axis may be missing. An episode goes on with the frame
        that the step before led to. Another frame is an error: see ``cut``.

        Raises TypeError for other types and ValueError for other shapes, rewards that are not
        finite, and frames that do not go on. Nothing is stored then.
        """
        steps = self._input.take(
            frames, actions, rewards, terminated, truncated, next_frames, valid
        )
        changes = self._raw.replay_add(
            self._storage, self._heads, steps, self.settings.frame_stack, self._highest,
            self._changes,
        )  # fmt: skip
        if changes < 0:
            self._explain(-1 - changes, rewards)
        added = self.settings.n_envs if valid is None else int(np.count_nonzero(steps[-1]))
        self._count += 2 * added - changes
        if self.tree is not None:
            slots, priorities = self._changes
            self.tree.update(slots[:changes], priorities[:changes])

    def _explain(self, refused: int, rewards: ArrayLike) -> NoReturn:
        """Raise for what the raw kernel has refused."""
        env = refused - self.settings.n_envs
        if env >= 0:
            raise ValueError(
                f"rewards: expected numbers that float32 can hold, got {np.ravel(rewards)[env]} in "
                f"environment {env}"
            )
        raise ValueError(
            f"frames: expected next_frames of the step before in environment {refused}, got "
            "another frame; call cut() where environments were reset within an episode"
        )

    def cut(self) -> None:
        """End all episodes that go on, as truncated.

        Call it where environments are reset without having ended, as after a restart.
        """
        self._heads[:, 2] = 0

    def sample(
        self, batch_size: int, beta: float | None = None, out: ReplayBatch | None = None
    ) -> ReplayBatch:
        """Sample transitions, uniformly or by priority.

        beta : of importance sampling, that of ``prioritized`` by default
        out  : a batch to overwrite, of ``batch(batch_size)``, or of tensors of its shapes

        Raises TypeError and ValueError for other arguments, and ValueError for an empty buffer.
        """
        count = checks.whole("batch_size", batch_size)
        if count and not self._count:
            raise ValueError(
                f"batch_size: expected 0 of an empty buffer, got {count}; add steps first"
            )
        exponent = self._beta(beta)
        batch = self._batch(count, out)
        batch.weights.fill(1)
        if self.tree is None:
            indices = self._draw(count)
        else:
            indices, priorities = self.tree.sample(count, self._rng)
            if count:  # p_min gives the largest weight of all, and it is 1
                batch.weights[:] = (priorities / self.tree.min()) ** -exponent
        self._gather(indices, batch)
        return batch if out is None else out

    def get(self, indices: Order, out: ReplayBatch | None = None) -> ReplayBatch:
        """Return the transitions of some indices, with weights of 1.

        indices : (B,) int64, as ``ReplayBatch`` has them
        out     : as of ``sample``

        Raises ValueError for an index without a transition that can be sampled.
        """
        places = self._places(indices)
        missing = self._storage[3][places] & SAMPLED == 0
        if missing.any():
            raise ValueError(
                f"indices: expected transitions that can be sampled, got {places[missing][0]}, "
                "which holds none, or one whose stack is partly overwritten"
            )
        batch = self._batch(len(places), out)
        batch.weights.fill(1)
        self._gather(places, batch)
        return batch if out is None else out

    def batch(self, batch_size: int) -> ReplayBatch:
        """Return room for a batch, to be sampled into."""
        return self._batch(checks.whole("batch_size", batch_size), None)

    def update_priorities(self, indices: Order, td_errors: ArrayLike) -> None:
        """Set the priorities of sampled transitions.

            p = (|td_error| + epsilon)^alpha

        indices   : (B,) int64, of a batch. Those overwritten meanwhile are left out
        td_errors : (B,) finite numbers of either sign

        New steps have the highest priority so far. Raises TypeError for other types, ValueError for
        other shapes and values, and for a buffer that samples uniformly.
        """
        if self.tree is None or self.settings.prioritized is None:
            raise ValueError("prioritized: expected Prioritized settings, got None; nothing to do")
        places = self._places(indices)
        errors = as_array("td_errors", td_errors).astype(np.float64)
        if errors.shape != places.shape:
            raise ValueError(f"td_errors: expected shape {places.shape}, got {errors.shape}")
        priorities = priorities_of(errors, self.settings.prioritized)
        there = self._storage[3][places] & SAMPLED != 0
        self.tree.update(places[there], priorities[there])
        self._highest = max(self._highest, float(priorities[there].max(initial=0.0)))

    def save(self, path: str | Path) -> None:
        """Write the buffer to a file, whole or not at all.

        An .npz of plain arrays: settings, steps, priorities and the generator's state. A restored
        buffer goes on with the same samples. Raises OSError for a directory that is missing or
        read-only, and when the disk fails.
        """
        from fastpong.kernels.replay_file import state_of, write  # not at the start: 5 ms
        from fastpong.storage.files import check_output

        check_output(Path(path))
        settings = self.settings.plain()
        state = {"rng": state_of(self._rng), "highest": self._highest}
        used = int(self._heads[:, 1].max())
        arrays = {"heads": self._heads} | self.settings.views(self._storage, used)
        if self.tree is not None:
            arrays["priorities"] = self.tree.get(np.arange(self.settings.rows))
        write(Path(path), settings | state, arrays)

    @classmethod
    def load(cls, path: str | Path, backend: str | None = None) -> Self:
        """Return the buffer of a file.

        Raises OSError where it cannot be read, and ValueError for a file that is damaged or none
        of ``save``'s.
        """
        from fastpong.kernels.replay_file import generator_from, reading

        buffer = cls.__new__(cls)
        with reading(Path(path)) as reader:
            buffer._begin(ReplaySettings.of(reader.settings), backend)
            buffer._rng = generator_from(reader.settings["rng"])
            buffer._highest = checks.real("highest", reader.settings["highest"])
            buffer._restore(reader)
        return buffer

    def _places(self, indices: Order) -> Order:
        rows = self.settings.rows
        return checks.within("indices", INDICES.check(Call(), indices), 0, rows).astype(np.int64)

    def _batch(self, count: int, out: ReplayBatch | None) -> ReplayBatch:
        """Return room for a batch, the caller's after it has been checked once."""
        if out is None:
            checks.addressable("batch_size", count, self.settings.stack_bytes)
            return empty_batch(self.settings, count)
        known, sizes, arrays = self._known
        # A caller may resize an array that was checked before.
        if arrays is None or known is not out or sizes != [count, *(a.nbytes for a in arrays)]:
            arrays = check_batch(self.settings, out, count)
            self._known = out, [count, *(a.nbytes for a in arrays)], arrays
        return arrays

    def _draw(self, count: int) -> Order:
        """Draw slots that may be sampled, all with the same chance."""
        flags, slots = self._storage[3], self.settings.slots
        used = max(self._heads[:, 1].tolist())
        if 2 * self._count < used * self.settings.n_envs:
            there = np.flatnonzero(flags & SAMPLED)
            return there[self._rng.integers(0, len(there), count)] if count else there[:0]
        # Few are refused: last frames of episodes, and steps whose stack is partly overwritten.
        found, done = np.empty(count, np.int64), 0
        while done < count:
            uniforms = self._rng.random(count - done)
            done += self._raw.replay_draw(flags, slots, used, uniforms, found[done:])
        return found

    def _beta(self, given: float | None) -> float:
        """Return the exponent of importance sampling."""
        prioritized = self.settings.prioritized
        if given is not None and prioritized is None:
            raise ValueError(
                f"beta: expected None for a buffer that samples uniformly, got a "
                f"{type(given).__name__}"
            )
        if given is not None:
            return checks.fraction("beta", given)
        return 0.0 if prioritized is None else prioritized.beta

    def _gather(self, indices: Order, batch: ReplayBatch) -> None:
        batch.indices[:] = indices
        settings = self.settings
        self._raw.replay_gather(
            self._storage, settings.slots, indices, self._powers,
            settings.padding_type == "zero", raw_batch(settings, batch),
        )  # fmt: skip

    def _restore(self, reader: Reader) -> None:
        """Read all arrays, and check those that lead kernels astray."""
        settings, heads = self.settings, self._heads
        reader.read("heads", heads)
        used = settings.check_heads(heads)
        for name, array in settings.views(self._storage, used).items():
            reader.read(name, array)
        flags, ages = self._storage[3:]
        if (flags >= 2 * SAMPLED).any() or (ages >= settings.frame_stack).any():
            raise ValueError("flags or ages that no buffer has")
        self._count = int(np.count_nonzero(flags & SAMPLED))
        if self.tree is not None:
            priorities = np.empty(settings.rows)
            reader.read("priorities", priorities)
            self.tree.update(np.arange(settings.rows), priorities)
