"""Arguments of returns and advantages: all that users pass, and what is refused."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from kernel_cases import ALL_BACKENDS
from rollouts import FUNCTIONS, compute, ratios_of, rollout
from tolerances import assert_same

from fastpong import kernels

pytestmark = pytest.mark.filterwarnings("error")

F32 = np.float32
ALL = ("discount_rewards", *FUNCTIONS)


@pytest.fixture(scope="module", params=ALL_BACKENDS)
def backend(request: pytest.FixtureRequest) -> Any:
    return kernels.get_backend(request.param)


def refuse(backend: Any, name: str, error: Any, match: str, given: Any, **changed: Any) -> None:
    if name == "vtrace":
        given = {"log_rhos": ratios_of(given), **given}
    with pytest.raises(error, match=match):
        compute(backend, name, given | changed)


# --- what goes in as it is ------------------------------------------------------------------------


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_last_value_of_any_shape(backend: Any, name: str) -> None:
    given = rollout((6, 3), F32)
    want = compute(backend, name, given)
    row = given["last_value"]
    for last in (row, row[None], np.repeat(row, 2)[::2]):
        for got, clean in zip(
            compute(backend, name, given | {"last_value": last}), want, strict=True
        ):
            assert_same(got, clean)
    given = rollout((6,), F32)
    want = compute(backend, name, given)
    number = given["last_value"]
    kinds: list[Any] = [np.float64(number), np.array(number), np.array([number], F32)]
    kinds += [np.array([[number]], F32), F32(number)]
    for last in kinds:
        for got, clean in zip(
            compute(backend, name, given | {"last_value": last}), want, strict=True
        ):
            assert_same(got, clean)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_number_stands_for_all_environments(backend: Any, name: str) -> None:
    given = rollout((6, 3), F32, "dones before")
    rows = {"last_value": np.full(3, 2, F32), "last_done": np.ones(3)}
    want = compute(backend, name, given | rows)
    for got, clean in zip(
        compute(backend, name, given | {"last_value": 2, "last_done": 1}), want, strict=True
    ):
        assert_same(got, clean)


@pytest.mark.parametrize("name", ALL)
def test_a_last_done_of_any_kind(backend: Any, name: str) -> None:
    given = rollout((6,), F32, "dones before")
    for done in (False, True):
        want = compute(backend, name, given | {"last_done": float(done)})
        for last in (done, np.bool_(done), int(done), np.array([done]), np.array(done, F32)):
            for got, clean in zip(
                compute(backend, name, given | {"last_done": last}), want, strict=True
            ):
                assert_same(got, clean)


@pytest.mark.parametrize("name", ALL)
def test_a_column_is_a_rollout_of_one(backend: Any, name: str) -> None:
    given = rollout((6,), F32, "truncated")
    tall = {
        key: value[:, None] if isinstance(value, np.ndarray) else value
        for key, value in given.items()
    }
    for got, want in zip(compute(backend, name, tall), compute(backend, name, given), strict=True):
        assert_same(got, want[:, None])


@pytest.mark.parametrize("name", ALL)
def test_integer_rewards(backend: Any, name: str) -> None:
    given = rollout((6, 3), F32)
    given["rewards"] = np.rint(given["rewards"])
    whole = given | {"rewards": given["rewards"].astype(np.int64)}
    for got, want in zip(compute(backend, name, whole), compute(backend, name, given), strict=True):
        # Integers alone have no float dtype: the results are float64 then.
        np.testing.assert_allclose(got, want, rtol=1e-5 if name == "discount_rewards" else 0)


@pytest.mark.parametrize("name", ALL)
def test_tensors(backend: Any, name: str) -> None:
    torch = pytest.importorskip("torch")
    given = rollout((6, 3), F32, "dones before")
    want = compute(backend, name, given)
    tensors = {
        key: torch.from_numpy(np.asarray(value, F32)) if isinstance(value, np.ndarray) else value
        for key, value in given.items()
    }
    for got, clean in zip(compute(backend, name, tensors), want, strict=True):
        assert_same(np.asarray(got), clean)
    outs = tuple(torch.zeros(6, 3) for _ in want)
    results = compute(backend, name, tensors, out=outs if len(outs) > 1 else outs[0])
    for result, out, clean in zip(results, outs, want, strict=True):
        assert result is out
        assert_same(out.numpy(), clean)


# --- resets at rewards ----------------------------------------------------------------------------


def test_points_end_returns_unless_ends_are_given(backend: Any) -> None:
    rewards, ends = np.array([1.0, 1.0, 0.0, 2.0]), np.array([0, 0, 1, 0])
    want = {None: [1, 1, 1, 2], True: [1, 1, 1, 2], False: [1.75, 1.5, 1, 2]}
    for reset, returns in want.items():
        got = backend.discount_rewards(rewards, 0.5, reset_on_reward=reset)
        assert got.tolist() == returns
    want = {None: [1.5, 1, 0, 2], True: [1, 1, 0, 2], False: [1.5, 1, 0, 2]}
    for flags in ({"terminated": ends}, {"truncated": ends},
                  {"dones_before": np.array([0, 0, 0, 1]), "last_done": 0}):  # fmt: skip
        for reset, returns in want.items():
            got = backend.discount_rewards(rewards, 0.5, reset_on_reward=reset, **flags)
            assert got.tolist() == returns


# --- ends of two conventions ----------------------------------------------------------------------


@pytest.mark.parametrize("name", ALL)
def test_ends_of_one_convention_only(backend: Any, name: str) -> None:
    before, own = rollout((5, 2), F32, "dones before"), rollout((5, 2), F32)
    one_of = r"expected None beside dones_before.*pass flags of one convention"
    refuse(backend, name, TypeError, rf"^terminated: {one_of}", before | own)
    cut = {"truncated": own["terminated"], "next_values": own["values"]}
    refuse(backend, name, TypeError, rf"^truncated: {one_of}", before | cut)
    pair = r"expected an array, got None; pass dones_before and last_done"
    refuse(backend, name, TypeError, rf"^last_done: {pair}", before, last_done=None)
    refuse(backend, name, TypeError, rf"^dones_before: {pair}", before, dones_before=None)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_truncated_and_next_values_come_together(backend: Any, name: str) -> None:
    given = rollout((5, 2), F32)
    refuse(
        backend, name, TypeError, r"^next_values: expected the values of the final observations",
        given, truncated=given["terminated"],
    )  # fmt: skip
    refuse(
        backend, name, TypeError, r"^truncated: expected flags", given,
        next_values=given["values"],
    )  # fmt: skip


def test_values_are_needed_where_they_are_read(backend: Any) -> None:
    given = rollout((5, 2), F32) | {"values": None}
    for n in (4, np.int64(4), 1):
        with pytest.raises(TypeError, match=r"^values: expected an array, since n=. is less than"):
            backend.n_step_returns(**given, n=n)
    assert backend.n_step_returns(**given, n=5).shape == (5, 2)
    with pytest.raises(TypeError, match=r"^rewards: "):
        backend.n_step_returns([1.0] * 5, None, None, 0, n=3)
    with pytest.raises(ValueError, match=r"^rewards: expected shape"):
        backend.n_step_returns(np.zeros((9, 1, 1)), None, None, 0, n=10)


# --- wrong shapes, dtypes and numbers -------------------------------------------------------------


@pytest.mark.parametrize("name", FUNCTIONS)
def test_wrong_shapes_are_named(backend: Any, name: str) -> None:
    given = rollout((5, 2), F32, "truncated")
    for key, value in (
        ("values", np.zeros((4, 2), F32)), ("values", np.zeros((5, 3), F32)),
        ("terminated", np.zeros(5)), ("terminated", np.zeros((2, 5))),
        ("truncated", np.zeros((5, 1))), ("next_values", np.zeros((6, 2), F32)),
        ("last_value", np.zeros(3, F32)), ("last_value", np.zeros((2, 1), F32)),
    ):  # fmt: skip
        refuse(backend, name, ValueError, rf"^{key}: expected shape", given, **{key: value})
    before = rollout((5, 2), F32, "dones before")
    for key, value in (("dones_before", np.zeros((4, 2))), ("last_done", np.zeros((5, 2)))):
        refuse(backend, name, ValueError, rf"^{key}: expected shape", before, **{key: value})


@pytest.mark.parametrize("name", ALL)
def test_flags_that_are_no_flags(backend: Any, name: str) -> None:
    given, before = rollout((5, 2), F32), rollout((5, 2), F32, "dones before")
    nan = np.full((5, 2), np.nan)
    refuse(backend, name, ValueError, r"^terminated: .*nan", given, terminated=nan)
    refuse(backend, name, ValueError, r"^dones_before: .*nan", before, dones_before=nan)
    for bad in (nan.astype(complex), nan.astype(object), "ends", [[0, 0]] * 5):
        refuse(backend, name, TypeError, r"^terminated: expected", given, terminated=bad)
    refuse(backend, name, (TypeError, ValueError), r"^last_done: ", before, last_done="no")
    refuse(backend, name, (TypeError, ValueError), r"^last_done: ", before, last_done=np.nan)


@pytest.mark.parametrize("name", ALL)
def test_numbers_out_of_range(backend: Any, name: str) -> None:
    given = rollout((5, 2), F32)
    keys = ["gamma"] + ["lambda_"] * (name in ("gae", "lambda_returns", "vtrace"))
    for key in keys:
        for value in (-0.1, 1.01, np.nan, np.inf):
            refuse(backend, name, ValueError, rf"^{key}: expected", given, **{key: value})
        for value in (None, "1", [1.0], True):
            refuse(backend, name, TypeError, rf"^{key}: expected", given, **{key: value})


def test_steps_and_clips_out_of_range(backend: Any) -> None:
    given = rollout((5, 2), F32)
    for n, error in ((0, ValueError), (-1, ValueError), (1.0, TypeError), (None, TypeError)):
        with pytest.raises(error, match=r"^n: expected"):
            backend.n_step_returns(**given, n=n)
    for key in ("clip_rho", "clip_c", "clip_pg_rho"):
        for value, error in ((-1, ValueError), (np.nan, ValueError), ("1", TypeError)):
            with pytest.raises(error, match=rf"^{key}: expected"):
                backend.vtrace(given["values"], **given, **{key: value})


def test_an_infinite_clip_clips_nothing(backend: Any) -> None:
    given = rollout((5, 2), F32)
    clips = "clip_rho", "clip_c", "clip_pg_rho"
    endless, large = (
        backend.vtrace(given["values"], **given, **dict.fromkeys(clips, clip))
        for clip in (math.inf, 1e30)
    )
    np.testing.assert_array_equal(endless, large)


@pytest.mark.parametrize("name", ALL)
def test_two_precisions_in_one_call(backend: Any, name: str) -> None:
    given = rollout((5, 2), F32, "truncated")
    for key in ("values", "next_values") * (name != "discount_rewards"):
        wide = given[key].astype(np.float64)
        refuse(
            backend, name, TypeError, rf"^({key}|rewards|log_rhos): .*float", given, **{key: wide}
        )
    out = np.zeros((5, 2))
    outs = (out, out.copy()) if name == "vtrace" else out
    with pytest.raises(TypeError, match=r"^(out|vs): expected dtype float32"):
        compute(backend, name, given, out=outs)


@pytest.mark.parametrize("name", ALL)
def test_tensors_that_cannot_be_read(backend: Any, name: str) -> None:
    torch = pytest.importorskip("torch")
    given = rollout((5, 2), F32)
    for tensor, hint in (
        (torch.zeros(5, 2, requires_grad=True), r"requires grad; pass rewards\.detach\(\)"),
        (torch.zeros(5, 2, device="meta"), r"pass rewards\.cpu\(\)"),
    ):
        refuse(backend, name, TypeError, rf"^rewards: .*{hint}", given, rewards=tensor)
