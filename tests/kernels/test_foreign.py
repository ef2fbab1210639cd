"""Arrays of other libraries, integers for floats, flags of any dtype, axes that may be missing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from declared import HELD, LINE, STACK

from fastpong.kernels import checks
from fastpong.kernels.arguments import In
from fastpong.kernels.call import Call
from fastpong.kernels.spec import Kernel

F32, F64 = np.float32, np.float64


class Shared:
    """An array of another library, in NumPy's memory."""

    def __init__(self, array: Any) -> None:
        self.array = array

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return self.array


class Copied(Shared):
    """One that is converted each time."""

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return self.array.copy()


class ByDlpack:
    def __init__(self, array: Any) -> None:
        self.array = array

    def __dlpack__(self, **options: Any) -> Any:
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self) -> Any:
        return self.array.__dlpack_device__()


class OnGpu(Shared):
    device = "cuda:0"

    def __dlpack_device__(self) -> tuple[int, int]:
        return 2, 0


def stack(**changed: Any) -> Call:
    given: dict[str, Any] = {
        "rewards": np.arange(6.0, dtype=F32).reshape(3, 2), "values": np.ones((3, 2), F32),
        "ends": np.zeros((3, 2), np.uint8), "last": np.ones(2, F32), "gamma": 0.9, "out": None,
        "more": None,
    }  # fmt: skip
    return STACK.check(*(given | changed).values())


def line(x: Any, out: Any) -> Call:
    return LINE.check(x, np.zeros(3, np.uint8), out)


# --- arrays of other libraries --------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Shared, Copied, ByDlpack])
def test_inputs_are_read_where_they_lie(kind: Any) -> None:
    array = np.arange(3.0)
    call = line(kind(array), None)
    assert np.array_equal(call.arguments[0], array)  # type: ignore[arg-type]
    assert np.shares_memory(call.arguments[0], array) == (kind is not Copied)  # type: ignore[arg-type]


def test_outputs_are_written_where_they_lie() -> None:
    memory = np.zeros(3)
    mine = Shared(memory)
    call = line(np.arange(3.0), mine)
    assert call.outputs == [mine]
    assert np.shares_memory(call.arguments[2], memory)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"^out: expected memory that NumPy can share, got Copied"):
        line(np.arange(3.0), Copied(memory))
    for key in "ab":
        given = {"a": np.zeros(3), "b": np.zeros(3)} | {key: Copied(np.zeros(3))}
        with pytest.raises(TypeError, match=rf"^{key}: expected memory"):
            HELD.check(*given.values())


def test_outputs_in_the_memory_of_other_libraries_are_kept_apart() -> None:
    memory = np.zeros((3, 2))
    with pytest.raises(ValueError, match=r"^out: shares memory with values"):
        stack(rewards=memory.copy(), values=Shared(memory), last=0.0, out=memory)


def test_what_lies_on_a_gpu_is_told_so() -> None:
    with pytest.raises(TypeError, match=r"^x: expected .* on cuda:0; pass x\.cpu\(\)"):
        line(OnGpu(np.zeros(3)), None)
    with pytest.raises(TypeError, match=r"^out: .*pass out\.cpu\(\)"):
        line(np.zeros(3), OnGpu(np.zeros(3)))


def test_masks_are_not_ignored() -> None:
    with pytest.raises(TypeError, match=r"^x: .*mask.*x\.filled"):
        line(np.ma.masked_array([1.0, 2.0, 3.0], [True, False, False]), None)


@pytest.mark.parametrize(
    "value", [[1.0], (1.0,), memoryview(np.zeros(1)), 1.0, np.float64(1), "x", None, np.ndarray]
)
def test_what_is_no_array(value: Any) -> None:
    with pytest.raises(TypeError, match=r"^x: expected a NumPy array, got"):
        line(value, None)


def test_what_cannot_be_read_is_told_why() -> None:
    class Broken:
        def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
            raise RuntimeError("no such thing")

    with pytest.raises(TypeError, match=r"^x: .*got Broken: no such thing"):
        line(Broken(), None)


def test_tensors() -> None:
    torch = pytest.importorskip("torch")
    memory, out = torch.arange(3.0), torch.zeros(3)
    call = line(memory, out)
    assert call.outputs[0] is out
    call.arguments[2][:] = call.arguments[0]  # type: ignore[index]
    assert torch.equal(memory, out)
    with pytest.raises(TypeError, match=r"^x: .*requires grad; pass x\.detach\(\)"):
        line(torch.zeros(3, requires_grad=True), None)
    with pytest.raises(TypeError, match=r"^x: .*pass x\.cpu\(\)"):
        line(torch.zeros(3, device="meta"), None)
    with pytest.raises(TypeError, match=r"^x: "):
        line(torch.zeros(3, dtype=torch.bfloat16), None)
    got = stack(ends=torch.ones(3, 2), last=torch.ones(1, 2), rewards=torch.ones(3, 2))
    assert got.arrays["ends"].tolist() == [[1, 1]] * 3


# --- integers for floats, and flags ---------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int64", ">i4", "bool"])
@pytest.mark.parametrize("others", [F32, F64])
def test_integers_become_the_floats_of_the_call(dtype: str, others: Any) -> None:
    rewards = np.array([[1, 0]] * 3).astype(dtype)
    call = stack(rewards=rewards, values=np.ones((3, 2), others), last=np.ones(2, int))
    for key in ("rewards", "last", "out"):
        assert call.arrays[key].dtype == others
    assert call.arrays["rewards"].tolist() == [[1.0, 0.0]] * 3


def test_integers_alone_become_float64() -> None:
    call = line(np.arange(3), None)
    assert call.arguments[0].dtype == call.outputs[0].dtype == F64  # type: ignore[attr-defined]
    assert line(np.arange(3), np.zeros(3, F32)).arguments[0].dtype == F32  # type: ignore[attr-defined]


@pytest.mark.parametrize("dtype", ["float16", "complex128", "U1", "object", "M8[s]"])
def test_other_dtypes_are_no_numbers(dtype: str) -> None:
    with pytest.raises(TypeError, match=r"^rewards: expected dtype float"):
        stack(rewards=np.zeros((3, 2), dtype))
    if dtype != "float16":
        with pytest.raises(TypeError, match=r"^ends: expected dtype uint8"):
            stack(ends=np.zeros((3, 2), dtype))


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int8", "int64", "float16", "float32", ">f8"])
def test_flags_of_any_dtype(dtype: str) -> None:
    ends = np.array([[0, 1], [1, 0], [0, 0]]).astype(dtype)
    got = stack(ends=ends).arrays["ends"]
    assert got.dtype == np.uint8 and got.tolist() == [[0, 1], [1, 0], [0, 0]]
    assert np.shares_memory(got, ends) == (dtype in ("bool", "uint8"))


def test_flags_are_not_0_or_0() -> None:
    ends = np.array([[0.5, -0.0], [-1, np.inf], [0, 1e-300]])
    assert stack(ends=ends).arrays["ends"].tolist() == [[1, 0], [1, 1], [0, 1]]
    with pytest.raises(ValueError, match=r"^ends: expected 0 or not 0, got nan"):
        stack(ends=np.full((3, 2), np.nan))


def test_what_is_optional_may_be_none() -> None:
    assert stack(ends=None).arguments[2] is None
    with pytest.raises(TypeError, match=r"^values: "):
        stack(values=None)


# --- axes that may be missing ---------------------------------------------------------------------


def test_a_missing_axis_is_of_one() -> None:
    one = np.ones(3)
    for rewards, values in ((one, one), (one, one[:, None]), (one[:, None], one)):
        for out in (None, np.zeros(3), np.zeros((3, 1))):
            call = stack(rewards=rewards, values=values, ends=one, last=0.5, out=out)
            shapes = [a.shape for a in call.arguments if isinstance(a, np.ndarray)]
            assert shapes == [(3, 1)] * 3 + [(1,), (3, 1), (4, 1)]
            assert call.outputs[0].shape == (rewards.shape if out is None else out.shape)
            assert out is None or call.outputs[0] is out
            assert call.outputs[1].shape == ((4,) if rewards.ndim == 1 else (4, 1))
            assert np.shares_memory(call.arguments[5], call.outputs[0])  # type: ignore[arg-type]
    wanted = r"\(T=3,\) or \(T=3, N=1\), .*rewards"
    with pytest.raises(ValueError, match=rf"^values: expected shape {wanted}"):
        stack(rewards=one, values=np.ones((3, 2)))
    with pytest.raises(ValueError, match=r"^rewards: expected shape"):
        stack(rewards=np.ones((3, 2, 1)))


def test_a_column_is_a_line() -> None:
    column = np.arange(3.0)[:, None]
    call = line(column, None)
    assert call.arguments[0].shape == (3,) and call.outputs[0].shape == (3, 1)  # type: ignore[attr-defined]
    assert line(column[:, 0], None).outputs[0].shape == (3,)
    assert line(column, column).outputs[0] is column
    spread = np.zeros((3, 2))[:, :1]
    assert line(spread, None).arguments[0].flags.c_contiguous  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match=r"^x: expected shape \(T,\), got \(3, 2\)"):
        line(np.zeros((3, 2)), None)


@pytest.mark.parametrize(
    "last", [2, 2.0, np.float32(2), np.array(2), np.array(2.0, F64), np.full(2, 2, F32),
             np.full((1, 2), 2, F32), np.full(2, 2)]
)  # fmt: skip
def test_a_number_stands_for_a_row(last: Any) -> None:
    got = stack(last=last).arrays["last"]
    assert got.dtype == F32 and got.tolist() == [2.0, 2.0]


def test_a_row_of_one() -> None:
    one = np.ones(3, F32)
    for last in (2, np.array(2.0), np.array([2.0]), np.array([[2]]), np.full(1, 2, F32)):
        got = stack(rewards=one, values=one, ends=one, last=last).arrays["last"]
        assert got.dtype == F32 and got.tolist() == [2.0]


@pytest.mark.parametrize(
    "last", [np.ones(1, F32), np.ones(3, F32), np.ones((2, 1), F32), np.ones((1, 1, 2), F32)]
)
def test_rows_of_another_length(last: Any) -> None:
    with pytest.raises(ValueError, match=r"^last: expected shape"):
        stack(last=last)


@pytest.mark.parametrize("last", ["1", 1j, True, None, np.array(True), np.nan, [1.0, 1.0]])
def test_what_is_no_row(last: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=r"^last: expected"):
        stack(last=last)


# --- messages -------------------------------------------------------------------------------------


def test_messages_say_which_argument_had_the_other_size() -> None:
    with pytest.raises(
        ValueError, match=r"^values: .*got \(4, 2\) \(N is of rewards, T is of rewa"
    ):
        stack(values=np.ones((4, 2), F32))


def test_batches_of_what_is_taken_one_by_one() -> None:
    frame = Kernel("frame", "none", (In("frame", np.dtype(np.uint8), (210, 160)),))
    with pytest.raises(ValueError, match=r"a batch of 8; pass them one by one"):
        frame.check(np.zeros((8, 210, 160, 3), np.uint8))


def test_integers_beyond_every_float_are_refused_by_name() -> None:
    for huge in (10**400, -(10**400), 10**5000):
        for rule in (checks.fraction, checks.not_negative, checks.real, checks.count):
            with pytest.raises(ValueError, match=r"^gamma: expected .* bits"):
                rule("gamma", huge)
