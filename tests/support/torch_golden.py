"""Run PyTorch's optimizers and gradient clipping, and keep what comes out.

    python tests/support/torch_golden.py

Every optimizer descends the same noisy bowl in float32 and in float64. Some of its gradients are 0,
some so small that it matters where epsilon stands. Numbers are drawn from NumPy's frozen
``RandomState``, so that a seed stands for them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

PATH = Path(__file__).parent.parent / "golden" / "torch.npz"
STEPS, SIZE = 200, 41
DTYPES = ("float32", "float64")

OPTIMIZERS: dict[str, tuple[str, dict[str, Any]]] = {
    "adam": ("Adam", {"lr": 1e-3}),
    "adam, cleanrl": ("Adam", {"lr": 2.5e-4, "eps": 1e-5}),
    "adam, other rates": ("Adam", {"lr": 1e-2, "betas": (0.5, 0.9), "eps": 1e-3}),
    "rmsprop": ("RMSprop", {"lr": 1e-2}),
    "rmsprop, a2c": ("RMSprop", {"lr": 7e-4, "alpha": 0.99, "eps": 1e-5}),
    "rmsprop, maximize": ("RMSprop", {"lr": 1e-3, "maximize": True}),
}
"""Runs: PyTorch's class, and its arguments."""

CLIPS: dict[str, tuple[float, float]] = {
    "clipped": (0.5, 1.0),
    "as it is": (1e3, 1.0),
    "to nothing": (0.0, 1.0),
    "infinite": (0.5, np.inf),
    "not a number": (0.5, np.nan),
}
"""Norms to clip to, and the last of the gradients."""


def start(dtype: str) -> Any:
    return np.random.RandomState(1).standard_normal(SIZE).astype(dtype)


def noise(step: int, dtype: str) -> Any:
    drawn = np.random.RandomState(100 + step).standard_normal(SIZE) * _scales()
    return drawn.astype(dtype)


def gradient(weights: Any, step: int) -> Any:
    """Return the bowl's gradient, in the dtype of the weights."""
    curvature = _scales().astype(weights.dtype)
    return curvature * (weights - weights.dtype.type(0.5)) + noise(step, weights.dtype)


def _scales() -> Any:
    """Return 0, then numbers from 1e-9 to 10."""
    return np.concatenate([np.zeros(2), np.logspace(-9, 1, SIZE - 2)])


def gradients(last: float, dtype: str) -> list[Any]:
    """Return gradients of several shapes, one without elements."""
    random = np.random.RandomState(3)
    arrays = [random.standard_normal(shape) for shape in ((7, 9), (0,), (33,), (2, 3, 4))]
    return [array.astype(dtype) for array in (*arrays, np.array([last]))]


def run_optimizer(name: str, dtype: str) -> dict[str, Any]:
    """Descend; return the weights and what the optimizer remembers."""
    import torch

    kind, arguments = OPTIMIZERS[name]
    weights = torch.tensor(start(dtype), requires_grad=True)
    optimizer = getattr(torch.optim, kind)([weights], foreach=False, **arguments)
    for step in range(STEPS):
        weights.grad = torch.from_numpy(gradient(weights.detach().numpy().copy(), step))
        optimizer.step()
    state = optimizer.state[weights]
    kept = ("exp_avg", "exp_avg_sq") if kind == "Adam" else ("square_avg",)
    return {"weights": weights.detach().numpy()} | {key: state[key].numpy() for key in kept}


def run_clip(name: str, dtype: str) -> dict[str, Any]:
    """Clip; return the norm and the gradients, end to end."""
    import torch

    max_norm, last = CLIPS[name]
    parameters = [torch.zeros(array.shape) for array in gradients(last, dtype)]
    for parameter, array in zip(parameters, gradients(last, dtype), strict=True):
        parameter.data = parameter.data.to(torch.from_numpy(array).dtype)
        parameter.grad = torch.from_numpy(array)
    norm = torch.nn.utils.clip_grad_norm_(parameters, max_norm)
    clipped = [parameter.grad.numpy().reshape(-1) for parameter in parameters]
    return {"norm": norm.numpy(), "gradients": np.concatenate(clipped)}


def run_torch() -> dict[str, Any]:
    """Return all that is kept, by name."""
    runs: tuple[tuple[Any, Callable[[str, str], dict[str, Any]]], ...]
    runs = ((OPTIMIZERS, run_optimizer), (CLIPS, run_clip))
    return {
        f"{name}/{dtype}/{key}": array
        for names, run in runs
        for name in names
        for dtype in DTYPES
        for key, array in run(name, dtype).items()
    }


def main() -> None:
    """Write the golden data."""
    np.savez_compressed(PATH, **run_torch())
    print(f"{PATH}: {PATH.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
