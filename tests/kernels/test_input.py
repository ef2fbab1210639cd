"""Wrong arguments: an error that names the argument, never a wrong answer, never a crash."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import cycle
from typing import Any

import numpy as np
import pytest
from kernel_cases import (
    ALL_BACKENDS,
    BACKENDS,
    CASES,
    PIXELS,
    Case,
    declaration,
    kernel_case,
    step_buffers,
)

from fastpong import kernels
from fastpong.kernels.arguments import FLAGS, FLOAT, REAL, AboveZero, ArrayItem, Number, One

pytestmark = pytest.mark.filterwarnings("error")

F32, F64 = np.dtype(np.float32), np.dtype(np.float64)


def case_of(name: str) -> Case:
    return kernel_case(name, F64)


def one_of_the_calls_dtype(name: str) -> list[str]:
    """Return the arrays that may be of either dtype."""
    arrays = [item for item in declaration(name).flat() if isinstance(item, ArrayItem)]
    return [item.name for item in arrays if item.dtypes is FLOAT or item.dtypes is REAL]


INPUTS = [(name, key) for name in CASES for key in case_of(name).inputs]
OUTPUTS = [(name, key) for name in CASES for key in case_of(name).outputs]
FLOATS = [
    (name, key)
    for name in CASES
    for key, array in (case_of(name).inputs | case_of(name).outputs).items()
    if array.dtype == F64 and [key] != one_of_the_calls_dtype(name)
]
STEP = tuple(step_buffers(F64))
OPTIONAL = ("previous", "palette", "fresh")
BOOLS = ("dones", "fresh")
FREE = {"resize_area": ("H", "W"), "frame_stack_push": ("K",), "update_mean_var": ("N",)}
"""Sizes that one array alone has."""
WRITTEN = ("indptr", "indices", "signs", "actions")


@pytest.fixture(scope="module", params=ALL_BACKENDS)
def backend(request: pytest.FixtureRequest) -> Any:
    return kernels.get_backend(request.param)


def by_turns(names: str, items: Sequence[Any]) -> Any:
    """Parametrize with items, each on one backend.

    One code checks the arguments of all backends: see
    ``test_backends_check_by_the_same_code``.
    """
    rows = [(turn, *item) for turn, item in zip(cycle(ALL_BACKENDS), items, strict=False)]
    return pytest.mark.parametrize(f"backend, {names}", rows, indirect=["backend"])


def refuses(call: Any, error: Any, *names: str) -> None:
    """Assert that ``call()`` raises and that the message begins with one of the names."""
    starts = "|".join(re.escape(name) for name in names)
    with pytest.raises(error, match=rf"^({starts})\b"):
        call()


def not_arrays(array: Any) -> list[Any]:
    return [array.tolist(), memoryview(array), "array", 3, object()]


def other_dtypes(array: Any, item: Any = None) -> list[Any]:
    dtypes = ["bool", "int32", "complex128", "float16", "object", "U1", array.dtype.newbyteorder()]
    if item is not None and item.dtypes is REAL:
        dtypes = [dtype for dtype in dtypes if np.dtype(dtype).kind not in "bi"]
    if item is not None and item.dtypes is FLAGS:
        dtypes = [dtype for dtype in dtypes if np.dtype(dtype).kind not in "bifu"]
    return [array.astype(dtype) for dtype in dtypes if np.dtype(dtype) != array.dtype]


def item_of(name: str, key: str) -> Any:
    return next(item for item in declaration(name).flat() if item.name == key)


def other_ranks(array: Any) -> list[Any]:
    return [array[None, None, None], np.array(array.reshape(-1)[0])]


# --- any array of any kernel --------------------------------------------------------------------


def test_backends_check_by_the_same_code() -> None:
    """They differ in the raw kernels alone, which come after the checks."""
    backends = [kernels.get_backend(name) for name in ALL_BACKENDS]
    for one in backends:
        assert type(one) is kernels.Backend
        assert vars(one).keys() == {"name", "raw", "_run", "_run_one", "_run_raw"}
    for run in ("_run", "_run_one", "_run_raw"):
        bound = [getattr(one, run) for one in backends]
        assert len({(type(each.__self__), each.__name__) for each in bound}) == 1


@by_turns("name, key", INPUTS)
def test_inputs_that_are_no_arrays(backend: Any, name: str, key: str) -> None:
    item = item_of(name, key)
    for value in (*not_arrays(case_of(name).inputs[key]), None):
        if value is None and (key in OPTIONAL or getattr(item, "optional", False)):
            continue
        if value == 3 and item.row:
            continue  # stands for all of them
        case = case_of(name)
        case.inputs[key] = value
        refuses(lambda case=case: case.call(backend), TypeError, key)


@by_turns("name, key", INPUTS)
def test_inputs_of_another_dtype(backend: Any, name: str, key: str) -> None:
    for value in other_dtypes(case_of(name).inputs[key], item_of(name, key)):
        if key in BOOLS and value.dtype == bool:
            continue
        case = case_of(name)
        case.inputs[key] = value
        refuses(lambda case=case: case.call(backend), TypeError, key)


@by_turns("name, key", INPUTS)
def test_inputs_of_another_rank(backend: Any, name: str, key: str) -> None:
    for value in other_ranks(case_of(name).inputs[key]):
        if item_of(name, key).row and not value.ndim:
            continue
        case = case_of(name)
        case.inputs[key] = value
        # Values to be standardized have any shape. It is the output's that then differs.
        names = (key, "out", "ddof") if name == "standardize" else (key,)
        refuses(lambda case=case, names=names: case.call(backend), ValueError, *names)


@by_turns("name, key", [*INPUTS, *OUTPUTS])
def test_lengths_that_do_not_agree(backend: Any, name: str, key: str) -> None:
    """Any axis one longer or one shorter; the message may name the argument it disagrees with."""
    item = next(item for item in declaration(name).flat() if item.name == key)
    assert isinstance(item, ArrayItem)
    free = FREE.get(declaration(name).function, ())
    for axis in range((case_of(name).inputs | case_of(name).outputs)[key].ndim):
        if axis < len(item.dims) and item.dims[axis] in free:
            continue
        for longer in (True, False):
            case = case_of(name)
            kind = case.inputs if key in case.inputs else case.outputs
            pad = [(0, int(longer and k == axis)) for k in range(kind[key].ndim)]
            part = slice(None) if longer else slice(-1)
            kind[key] = np.pad(kind[key], pad)[(slice(None),) * axis + (part,)].copy()
            names = {**case.inputs, **case.outputs}
            if name.startswith("sparse_policy") and key in ("w1", "grad_w1") and axis == 0:
                continue  # rows that no pixel uses may be there or not
            refuses(lambda case=case: case.call(backend), ValueError, *names)


@by_turns("name, key", FLOATS)
def test_one_call_has_one_float_dtype(backend: Any, name: str, key: str) -> None:
    case = case_of(name)
    if sum(array.dtype == F64 for array in (case.inputs | case.outputs).values()) < 2:
        return
    kind = case.inputs if key in case.inputs else case.outputs
    kind[key] = kind[key].astype(F32)
    refuses(lambda: case.call(backend), TypeError, *case.inputs, *case.outputs)


@by_turns("name, key", OUTPUTS)
def test_outputs_that_cannot_be_written_to(backend: Any, name: str, key: str) -> None:
    good = case_of(name).outputs[key]
    read_only, spread = good.copy(), np.repeat(good, 2, axis=-1)[..., ::2]
    read_only.flags.writeable = False
    raw = np.zeros(good.nbytes + 1, np.uint8)
    unaligned = raw[1:].view(good.dtype).reshape(good.shape)
    wrong: list[Any] = [read_only] + [spread] * (good.size > 1)
    wrong += [np.asfortranarray(good)] if good.ndim > 1 else []
    wrong += [unaligned] if good.itemsize > 1 else []
    for value in wrong:
        case = case_of(name)
        case.outputs[key] = value
        before = value.copy()
        refuses(lambda case=case: case.call(backend), ValueError, key)
        np.testing.assert_array_equal(value, before)


@by_turns("name, key", OUTPUTS)
def test_outputs_of_another_kind(backend: Any, name: str, key: str) -> None:
    good = case_of(name).outputs[key]
    wrong = [(value, TypeError) for value in [*not_arrays(good), *other_dtypes(good)]]
    wrong += [(value, ValueError) for value in other_ranks(good)]
    for value, error in wrong:
        case = case_of(name)
        case.outputs[key] = value
        # The parameter's shape is any. It is the others that then differ.
        names = (*case.inputs, *case.outputs) if key == "parameter" else (key,)
        refuses(lambda case=case, error=error, names=names: case.call(backend), error, *names)


@pytest.mark.parametrize("name", [name for name in CASES if len(case_of(name).outputs) == 2])
def test_two_outputs_come_as_a_pair(backend: Any, name: str) -> None:
    case = case_of(name)
    if case.in_place:
        return
    first, second = case.outputs.values()
    kernel = getattr(backend, case.kernel)
    for out in (first, [first, second], (first,), (first, second, second), "out"):
        refuses(
            lambda out=out: kernel(**case.packed(case.inputs), **case.scalars, out=out),
            TypeError,
            "out",
        )


@by_turns("name, key", OUTPUTS)
def test_outputs_in_the_memory_of_inputs(backend: Any, name: str, key: str) -> None:
    shape, dtype = case_of(name).outputs[key].shape, case_of(name).outputs[key].dtype
    for other, array in case_of(name).inputs.items():
        if array.dtype != dtype:
            continue
        memory = np.zeros(array.size + case_of(name).outputs[key].size, dtype)
        case = case_of(name)
        case.inputs[other] = memory[: array.size].reshape(array.shape)
        start = array.size - 1  # shifted: in place is another matter
        case.outputs[key] = memory[start : start + int(np.prod(shape))].reshape(shape)
        refuses(lambda case=case: case.call(backend), ValueError, key)


def test_a_palette_table_in_the_memory_of_the_output(backend: Any) -> None:
    case = case_of("preprocess_frame")
    memory = np.zeros(PIXELS + 255, np.uint8)
    case.outputs["out"], case.inputs["table"] = memory[:PIXELS], memory[PIXELS - 1 :]
    refuses(lambda: case.call(backend), ValueError, "out")


@pytest.mark.parametrize("name", ["sparse_policy_forward", "sparse_policy_backward"])
@pytest.mark.parametrize("key", ["indptr", "indices", "signs"])
def test_sparse_frames_in_the_memory_of_the_output(backend: Any, name: str, key: str) -> None:
    """Else the kernel would overwrite the positions that it goes by, after they were checked."""
    case = case_of(name)
    good, first = case.inputs[key], next(iter(case.outputs))
    view = case.outputs[first].reshape(-1).view(good.dtype)[: good.size]
    view[:] = good
    case.inputs[key] = view
    refuses(lambda: case.call(backend), ValueError, first)


# --- values -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["sparse_policy_forward", "sparse_policy_backward"])
@pytest.mark.parametrize("value", [PIXELS, PIXELS + 1, 65535])
@pytest.mark.parametrize("at", [0, 20, -1])
def test_pixels_beyond_the_frame(backend: Any, name: str, value: int, at: int) -> None:
    case = case_of(name)
    case.inputs["indices"][at] = value
    refuses(lambda: case.call(backend), ValueError, "indices")


@pytest.mark.parametrize("name", ["sparse_policy_forward", "sparse_policy_backward"])
def test_pixels_beyond_the_rows_of_w1(backend: Any, name: str) -> None:
    case = case_of(name)
    rows = int(case.inputs["indices"].max())
    kind, key = (
        (case.inputs, "w1") if name == "sparse_policy_forward" else (case.outputs, "grad_w1")
    )
    kind[key] = kind[key][:rows].copy()
    refuses(lambda: case.call(backend), ValueError, "indices")


@pytest.mark.parametrize("name", ["sparse_policy_forward", "sparse_policy_backward"])
@pytest.mark.parametrize(
    "indptr",
    [
        [0, 3, 3, 43, 45],  # beyond nnz = 44
        [0, 3, 3, 43, 2**62],
        [-1, 3, 3, 43, 44],
        [-(2**63), 3, 3, 43, 44],
        [0, 3, 2, 43, 44],  # falling
        [0, 100, 3, 43, 44],  # beyond, and falling again
        [0, 3, -1, 43, 44],
        [44, 43, 42, 41, 40],
        [0, 2**63 - 1, -(2**63), 43, 44],  # their difference overflows
    ],
)
def test_frames_that_do_not_follow_each_other(backend: Any, name: str, indptr: list[int]) -> None:
    case = case_of(name)
    case.inputs["indptr"] = np.array(indptr, np.int64)
    refuses(lambda: case.call(backend), ValueError, "indptr")


@pytest.mark.parametrize("name", ["sparse_policy_forward", "sparse_policy_backward"])
def test_an_indptr_without_an_entry(backend: Any, name: str) -> None:
    case = case_of(name)
    case.inputs["indptr"] = np.zeros(0, np.int64)
    refuses(lambda: case.call(backend), ValueError, "indptr")


@pytest.mark.parametrize("name", ["preprocess_frame", "sparse_difference_frame"])
@pytest.mark.parametrize("value", [2, 255])
@pytest.mark.parametrize("at", [0, 128, 255])
def test_a_table_of_more_than_0_and_1(backend: Any, name: str, value: int, at: int) -> None:
    case = case_of(name)
    case.inputs["table"][at] = value
    refuses(lambda: case.call(backend), ValueError, "table")


def test_a_table_belongs_to_indices(backend: Any) -> None:
    rgb, palette = case_of("preprocess_frame_rgb").inputs, case_of("preprocess_frame").inputs
    refuses(lambda: backend.preprocess_frame(rgb["frame"], palette["table"]), TypeError, "table")
    refuses(lambda: backend.preprocess_frame(palette["frame"]), TypeError, "table")


NOT_NUMBERS = [None, "0.9", [0.9], np.array([0.9]), 1j, True]


@pytest.mark.parametrize("name, key", [("discount_rewards", "gamma"), ("rmsprop_update", "decay")])
def test_fractions_outside_0_and_1(backend: Any, name: str, key: str) -> None:
    above, below = np.nextafter(1.0, 2), np.nextafter(0.0, -1)
    for value in (-0.1, 1.1, above, below, np.nan, np.inf, -np.inf, 2, np.float32(1.5)):
        case = case_of(name)
        case.scalars[key] = value
        refuses(lambda case=case: case.call(backend), ValueError, key)
    for value in NOT_NUMBERS:
        case = case_of(name)
        case.scalars[key] = value
        refuses(lambda case=case: case.call(backend), TypeError, key)


@pytest.mark.parametrize("key", ["learning_rate", "epsilon"])
def test_rates_below_0(backend: Any, key: str) -> None:
    for value in (-1e-4, -1, np.nan, np.inf, -np.inf):
        case = case_of("rmsprop_update")
        case.scalars[key] = value
        refuses(lambda case=case: case.call(backend), ValueError, key)
    for value in NOT_NUMBERS:
        case = case_of("rmsprop_update")
        case.scalars[key] = value
        refuses(lambda case=case: case.call(backend), TypeError, key)


NUMBERS = [
    (name, item.name)
    for name in CASES
    for item in declaration(name).flat()
    if isinstance(item, (Number, AboveZero, One))
]


CLIPS = ("clip_rho", "clip_c", "clip_pg_rho")


@by_turns("name, key", NUMBERS)
def test_numbers_are_finite_numbers(backend: Any, name: str, key: str) -> None:
    for value in (np.nan, np.inf, -np.inf, None, "0.9", [0.9], 1j, True):
        if (key == "clip" and value is None) or (key in CLIPS and value == np.inf):
            continue  # it clips nothing
        case = case_of(name)
        case.scalars[key] = value
        refuses(lambda case=case: case.call(backend), (TypeError, ValueError), key)


@pytest.mark.parametrize("name", [name for name in CASES if declaration(name).groups()])
def test_bundles_are_tuples_of_all_their_arrays(backend: Any, name: str) -> None:
    case = case_of(name)
    given = case.packed((case.inputs | case.outputs) if case.in_place else case.inputs)
    kernel = getattr(backend, case.kernel)
    for key in case.groups:
        for bad in (None, list(given[key]), given[key][:-1], given[key][0]):
            changed = {**given, key: bad, **case.scalars}
            refuses(lambda bad=changed: kernel(**bad), TypeError, key)


def test_numbers_of_any_kind_are_numbers(backend: Any) -> None:
    rewards = np.array([0.0, 1.0])
    for gamma in (0, 1, np.int64(1), np.float32(0.5), np.float64(0.5)):
        got = backend.discount_rewards(rewards, gamma)
        assert got.tolist() == [float(gamma), 1.0]


def test_refused_calls_leave_their_outputs_alone(backend: Any) -> None:
    case = case_of("rmsprop_update")
    before = {key: array.copy() for key, array in case.outputs.items()}
    case.scalars["epsilon"] = -1.0
    refuses(lambda: case.call(backend), ValueError, "epsilon")
    case = case_of("sparse_policy_backward")
    before |= {key: array.copy() for key, array in case.outputs.items()}
    case.inputs["indices"][0] = 6400
    refuses(lambda: case.call(backend), ValueError, "indices")
    for key, array in (case_of("rmsprop_update").outputs | case.outputs).items():
        np.testing.assert_array_equal(array, before[key])


# --- the fused step -----------------------------------------------------------------------------


@pytest.mark.parametrize("key", STEP)
def test_step_refuses_what_is_no_buffer(backend: Any, key: str) -> None:
    good = step_buffers(F64)[key]
    wrong = [(value, TypeError) for value in [*not_arrays(good), *other_dtypes(good)]]
    wrong += [(value, ValueError) for value in other_ranks(good)]
    for value, error in wrong:
        buffers = step_buffers(F64) | {key: value}
        refuses(lambda b=buffers, error=error: backend.policy_step(**b), error, key)


@pytest.mark.parametrize("key", STEP)
def test_step_allocates_no_buffer(backend: Any, key: str) -> None:
    """The caller would never see it."""
    buffers = step_buffers(F64) | {key: None}
    refuses(lambda: backend.policy_step(**buffers), TypeError, key)


@pytest.mark.parametrize("key", STEP)
def test_step_refuses_lengths_that_do_not_agree(backend: Any, key: str) -> None:
    good = step_buffers(F64)[key]
    for axis in range(good.ndim):
        buffers = step_buffers(F64) | {key: np.delete(good, 0, axis)}
        refuses(lambda b=buffers: backend.policy_step(**b), ValueError, *STEP)


@pytest.mark.parametrize("key", WRITTEN)
def test_step_refuses_buffers_that_it_cannot_write(backend: Any, key: str) -> None:
    good = step_buffers(F64)[key]
    read_only, spread = good.copy(), np.repeat(good, 2)[::2]
    read_only.flags.writeable = False
    for value in (read_only, spread):
        buffers = step_buffers(F64) | {key: value}
        refuses(lambda b=buffers: backend.policy_step(**b), ValueError, key)


@pytest.mark.parametrize("key", ["screens", "w1", "w2"])
def test_step_refuses_what_it_would_have_to_copy(backend: Any, key: str) -> None:
    """A copy would not follow what is written to the caller's array after binding."""
    buffers = step_buffers(F64)
    buffers[key] = np.repeat(buffers[key], 2, axis=-1)[..., ::2]
    refuses(lambda: backend.policy_step(**buffers), ValueError, key)


def test_step_refuses_mixed_weights_and_bad_tables(backend: Any) -> None:
    for key in ("w1", "w2"):
        buffers = step_buffers(F64)
        buffers[key] = buffers[key].astype(F32)
        refuses(lambda b=buffers: backend.policy_step(**b), TypeError, "w1", "w2")
    buffers = step_buffers(F64)
    buffers["table"][7] = 2
    refuses(lambda: backend.policy_step(**buffers), ValueError, "table")


def test_step_refuses_shared_buffers(backend: Any) -> None:
    buffers = step_buffers(F64)
    buffers["indptr"] = buffers["indices"][:16].view(np.int64)[:4]
    refuses(lambda: backend.policy_step(**buffers), ValueError, "indptr", "indices")
    buffers = step_buffers(F64)
    buffers["actions"] = buffers["screens"].reshape(-1)[:3]
    refuses(lambda: backend.policy_step(**buffers), ValueError, "actions", "screens")


@pytest.mark.parametrize("name", BACKENDS)
def test_step_with_a_spoilt_indptr_has_no_room(name: str) -> None:
    backend = kernels.get_backend(name)
    for start in (-1, -(2**63), 2**63 - 1, 3 * PIXELS):
        buffers = step_buffers(F64)
        step = backend.policy_step(**buffers)
        buffers["indptr"][:] = start
        assert step(1, 0.5) == -1
        assert not buffers["indices"].any() and not buffers["actions"].any()


def test_rmsprop_needs_an_epsilon_that_its_dtype_can_hold(backend: Any) -> None:
    """Else a pixel that never lit up is 0 / 0."""
    for dtype, epsilon in ((F32, 1e-50), (F32, 0.0), (F64, 0.0)):
        arrays = [np.zeros(3, dtype) for _ in range(3)]

        def update(arrays: Any = arrays, epsilon: float = epsilon) -> None:
            backend.rmsprop_update(*arrays, epsilon=epsilon)

        refuses(update, ValueError, "epsilon")
        assert not any(array.any() for array in arrays)


def test_subclasses_are_plain_arrays_inside(backend: Any) -> None:
    case = case_of("policy_backward")
    want = [array.copy() for array in case.call(backend)]
    case.inputs["hidden"] = case.inputs["hidden"].view(np.matrix)
    for got, exact in zip(case.call(backend), want, strict=True):
        np.testing.assert_array_equal(got, exact)


# --- backends -----------------------------------------------------------------------------------


def test_backends_have_names() -> None:
    for name in ALL_BACKENDS:
        assert kernels.get_backend(name).name == name
        assert kernels.get_backend(name) is kernels.get_backend(name)


@pytest.mark.parametrize("name", ["fortran", "", "Cython", "oracle"])
def test_an_unknown_backend_is_told_the_known_ones(name: str) -> None:
    with pytest.raises(ValueError, match=r"cython.*numba.*numpy"):
        kernels.get_backend(name)
