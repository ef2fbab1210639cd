"""Optimizers and gradient clipping against PyTorch: what it gave once, and what it gives here."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch_golden
from kernel_cases import ALL_BACKENDS
from tolerances import TORCH, assert_close
from torch_golden import CLIPS, OPTIMIZERS, PATH, STEPS, gradient, gradients, start

from fastpong import kernels

pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture(scope="module", params=ALL_BACKENDS)
def backend(request: pytest.FixtureRequest) -> Any:
    return kernels.get_backend(request.param)


@pytest.fixture(scope="module")
def golden() -> Any:
    with np.load(PATH) as stored:
        return dict(stored)


def descend(backend: Any, name: str, dtype: str) -> dict[str, Any]:
    """Do with our kernels what ``run_optimizer`` does, as the docs say."""
    kind, given = OPTIMIZERS[name]
    weights = start(dtype)
    if kind == "Adam":
        beta1, beta2 = given.get("betas", (0.9, 0.999))
        state = {"exp_avg": np.zeros_like(weights), "exp_avg_sq": np.zeros_like(weights)}
        for step in range(STEPS):
            backend.adam_update(
                weights, gradient(weights, step), *state.values(), step + 1, given["lr"],
                beta1, beta2, given.get("eps", 1e-8), epsilon_hat=False,
            )  # fmt: skip
    else:
        state = {"square_avg": np.zeros_like(weights)}
        rates = (given["lr"], given.get("alpha", 0.99), given.get("eps", 1e-8))
        maximize = given.get("maximize", False)
        for step in range(STEPS):
            backend.rmsprop_update(
                weights, gradient(weights, step), state["square_avg"], *rates, maximize=maximize
            )
    return {"weights": weights} | state


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers_are_torchs(backend: Any, dtype: Any, golden: Any, name: str) -> None:
    """After 200 steps, by how far the weights have come."""
    moved = np.abs(golden[f"{name}/{dtype}/weights"] - start(str(dtype))).max()
    for key, got in descend(backend, name, str(dtype)).items():
        want = golden[f"{name}/{dtype}/{key}"]
        scale = moved if key == "weights" else None
        assert_close(got, want, TORCH[dtype], scale)


def test_the_other_convention_of_epsilon_is_not_torchs(dtype: Any, golden: Any) -> None:
    """With Keras's the weights end up elsewhere, so the test above tells one from the other."""
    backend, name = kernels.get_backend("numpy"), "adam, cleanrl"
    want = golden[f"{name}/{dtype}/weights"]
    weights, moments = start(str(dtype)), [np.zeros_like(want), np.zeros_like(want)]
    for step in range(STEPS):
        backend.adam_update(
            weights, gradient(weights, step), *moments, step + 1, 2.5e-4, epsilon=1e-5
        )
    assert np.abs(weights - want).max() > 0.01 * np.abs(want - start(str(dtype))).max()


@pytest.mark.parametrize("name", CLIPS)
def test_clipping_is_torchs(backend: Any, dtype: Any, golden: Any, name: str) -> None:
    max_norm, last = CLIPS[name]
    arrays = gradients(last, str(dtype))
    norm = backend.clip_grad_norm(arrays, max_norm, error_if_nonfinite=False)
    clipped = np.concatenate([array.reshape(-1) for array in arrays])
    assert_close(clipped, golden[f"{name}/{dtype}/gradients"], TORCH[dtype], scale=1)
    np.testing.assert_allclose(norm, golden[f"{name}/{dtype}/norm"], rtol=TORCH[dtype])


def test_torch_gives_what_it_gave(golden: Any) -> None:
    pytest.importorskip("torch")
    found = torch_golden.run_torch()
    assert set(found) == set(golden)
    for name, array in found.items():
        # Another release or CPU may round otherwise.
        assert_close(array, golden[name], TORCH[array.dtype], scale=1)


def test_tensors_are_worked_on_where_they_lie(backend: Any) -> None:
    torch = pytest.importorskip("torch")
    layer, twin = torch.nn.Linear(5, 3), torch.nn.Linear(5, 3)
    twin.load_state_dict(layer.state_dict())
    for network in (layer, twin):
        network(torch.ones(2, 5)).square().sum().backward()
    norm = backend.clip_grad_norm([p.grad for p in layer.parameters()], 0.5)
    want = torch.nn.utils.clip_grad_norm_(twin.parameters(), 0.5)
    np.testing.assert_allclose(norm, want, rtol=1e-6)
    torch.optim.Adam(twin.parameters(), 1e-2, eps=1e-5).step()
    for weights in layer.parameters():
        state = torch.zeros_like(weights), torch.zeros_like(weights)
        backend.adam_update(
            weights.detach(), weights.grad, *(one.detach() for one in state), 1, 1e-2,
            epsilon=1e-5, epsilon_hat=False,
        )  # fmt: skip
    for mine, theirs in zip(layer.parameters(), twin.parameters(), strict=True):
        assert_close(mine.detach(), theirs.detach(), 1e-6)
    advantages = torch.arange(6.0).reshape(2, 3)
    want = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
    assert backend.standardize(advantages, advantages, ddof=1, epsilon=1e-8) is advantages
    assert_close(advantages, want, 1e-6)
    with pytest.raises(TypeError, match=r"^gradients\[0\]: .*requires grad"):
        backend.clip_grad_norm([torch.ones(3, requires_grad=True)], 0.5)


@pytest.mark.parametrize("shape", [(2,), (129,), (16, 8)])
def test_standardized_advantages_are_torchs(backend: Any, dtype: Any, shape: Any) -> None:
    torch = pytest.importorskip("torch")
    values = np.random.default_rng(6).standard_normal(shape).astype(dtype) + dtype.type(2)
    tensor = torch.from_numpy(values)
    want = ((tensor - tensor.mean()) / (tensor.std() + 1e-8)).numpy()
    assert_close(backend.standardize(values, ddof=1, epsilon=1e-8), want, TORCH[dtype])
