"""Random rollouts, and the functions that make returns and advantages of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastpong.kernels import Backend

Given = dict[str, Any]

ENDS = ("none", "terminated", "truncated", "dones before")
FUNCTIONS = ("gae", "lambda_returns", "n_step_returns", "vtrace")
"""Those that value what comes after an end."""


def rollout(
    shape: tuple[int, ...], dtype: Any = np.float64, ends: str = "terminated", seed: int = 13,
    often: float = 0.1,
) -> Given:  # fmt: skip
    """Return what all functions take: rewards, values, and ends of one convention."""
    rng = np.random.default_rng(seed)

    def numbers(*shape: int) -> Any:
        return rng.standard_normal(shape).astype(dtype)

    given: Given = {"rewards": numbers(*shape), "values": numbers(*shape), "terminated": None}
    given["last_value"] = numbers(*shape[1:]) if len(shape) > 1 else float(numbers())
    if ends in ("terminated", "truncated"):
        given["terminated"] = rng.random(shape) < often
    if ends == "truncated":
        given |= {"truncated": rng.random(shape) < often, "next_values": numbers(*shape)}
    if ends == "dones before":
        last = rng.random(shape[1:]) < 0.5 if len(shape) > 1 else float(rng.random() < 0.5)
        given |= {"dones_before": rng.random(shape) < often, "last_done": last}
    return given


def discounted(given: Given) -> Given:
    """Return what ``discount_rewards`` takes of it."""
    return {
        name: value
        for name, value in given.items()
        if name not in ("values", "last_value", "next_values")
    }


def compute(backend: Backend, name: str, given: Given, **changed: Any) -> tuple[Any, ...]:
    """Call a function with all that it needs, return its outputs."""
    if name == "discount_rewards":
        given = {"gamma": 0.97, **discounted(given)}
    if name == "n_step_returns":
        given = {"n": 3, **given}
    if name == "vtrace":
        given = {
            "log_rhos": ratios_of(given), "lambda_": 0.9, "clip_rho": 1.2, "clip_c": 1.1,
            "clip_pg_rho": 1.3, **given,
        }  # fmt: skip
    result = getattr(backend, name)(**given | changed)
    return result if isinstance(result, tuple) else (result,)


def ratios_of(given: Given) -> Any:
    """Return logarithms of importance ratios, the same for the same step."""
    values = np.asarray(given["values"])
    return values * np.asarray(0.3, values.dtype)


def wide(given: Given) -> Given:
    """Return the same numbers in float64."""
    return {
        name: value.astype(np.float64)
        if isinstance(value, np.ndarray) and value.dtype.kind == "f"
        else value
        for name, value in given.items()
    }


def columns(given: Given, n: int) -> Given:
    """Return the rollout of one environment, (T,)."""
    return {
        name: value[..., n].copy() if isinstance(value, np.ndarray) else value
        for name, value in given.items()
    }
