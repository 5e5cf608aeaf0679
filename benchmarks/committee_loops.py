r"""The loop over N weights of several units that a user would write, in NumPy or PyTorch.

Both state the physics of `statmech_bn.online.microscopic` for erf units with a second layer that is
fixed; NumPy by gradients by hand, PyTorch by `backward`. All replicas make their steps together.
"""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any

import numpy as np
from references import ACTIVATIONS

import statmech_bn as sbn

Array = np.ndarray


def weights(setup: sbn.TeacherStudent, dimension: int, replicas: int) -> tuple[Array, Array]:
    """Draw teachers with the products of the setup, and students of length √N; (R, K, N)."""
    generator, units = np.random.default_rng(0), setup.student_units
    drawn = generator.standard_normal((replicas, setup.teacher_units + units, dimension))
    first = drawn[:, : setup.teacher_units]
    orthonormal = np.linalg.qr(first.swapaxes(1, 2))[0].swapaxes(1, 2)
    above = np.linalg.cholesky(setup.teacher_gram)
    return math.sqrt(dimension) * (above @ orthonormal), drawn[:, setup.teacher_units :]


def by_numpy(
    setup: sbn.TeacherStudent, learning_rate: float, steps: int, dimension: int, replicas: int = 1
) -> tuple[Array, Array, Array]:
    """Train; returns ρ, Q and γ of each replica."""
    g, slope = ACTIVATIONS["erf"]
    generator, M, N = np.random.default_rng(1), setup.batch_size, dimension
    teacher, w = weights(setup, N, replicas)
    gamma = np.ones((replicas, setup.student_units, 1))
    for _ in range(steps):
        x = generator.standard_normal((replicas, N, M))
        labels = g(teacher @ x / math.sqrt(N)).sum(axis=1, keepdims=True)
        labels += setup.label_noise * generator.standard_normal((replicas, 1, M))
        field = w @ x / math.sqrt(N)
        u, spread, scale = field, 1.0, 1.0
        if setup.normalization == "batch":
            spread = field.std(axis=-1, keepdims=True)
            u, scale = (field - field.mean(axis=-1, keepdims=True)) / spread, gamma
        phi = scale * u
        delta = slope(phi) * (labels - g(phi).sum(axis=1, keepdims=True))
        pull = (delta * u).mean(axis=-1, keepdims=True)
        if setup.normalization == "batch":
            delta = delta - delta.mean(axis=-1, keepdims=True) - u * pull
            gamma = gamma + learning_rate / N * pull
        w = w + learning_rate / math.sqrt(N) * (scale / (M * spread) * delta) @ x.swapaxes(1, 2)
    return w @ teacher.swapaxes(1, 2) / N, w @ w.swapaxes(1, 2) / N, gamma[..., 0]


def by_torch(
    setup: sbn.TeacherStudent, learning_rate: float, steps: int, dimension: int, replicas: int = 1
) -> tuple[Array, Array, Array]:
    """Train; returns ρ, Q and γ of each replica."""
    torch: Any = _torch()
    generator, M, N = torch.Generator().manual_seed(0), setup.batch_size, dimension
    options = {"dtype": torch.float64, "generator": generator}
    teacher, w = map(torch.tensor, weights(setup, N, replicas))
    gamma = torch.ones((replicas, setup.student_units, 1), dtype=torch.float64)
    has_scale = setup.normalization == "batch"

    def g(z: Any) -> Any:
        return torch.erf(z / math.sqrt(2))

    for _ in range(steps):
        x = torch.randn((replicas, N, M), **options)
        labels = g(teacher @ x / math.sqrt(N)).sum(1)
        labels = labels + setup.label_noise * torch.randn((replicas, M), **options)
        w, gamma = w.requires_grad_(True), gamma.requires_grad_(True)
        phi = w @ x / math.sqrt(N)
        if has_scale:
            spread = phi.std(-1, correction=0, keepdim=True)
            phi = gamma * (phi - phi.mean(-1, keepdim=True)) / spread
        (0.5 * ((labels - g(phi).sum(1)) ** 2).mean(1).sum()).backward()
        with torch.no_grad():
            w = w - learning_rate * w.grad
            if has_scale:
                gamma = gamma - learning_rate / N * gamma.grad
    w, gamma = w.detach(), gamma.detach()
    rho, q = w @ teacher.transpose(1, 2) / N, w @ w.transpose(1, 2) / N
    return rho.numpy(), q.numpy(), gamma[..., 0].numpy()


def _torch() -> ModuleType:
    """Import PyTorch on one thread."""
    import torch

    torch.set_num_threads(1)
    return torch
