"""The same loops in PyTorch, as a user would write them: gradients by `backward`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from references import initial

import statmech_bn as sbn

Tensor = torch.Tensor
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "linear": lambda z: z,
    "relu": torch.relu,
    "erf": lambda z: torch.erf(z / 2**0.5),
    "softplus": torch.nn.functional.softplus,
    "tanh": torch.tanh,
}


def loss(
    setup: sbn.TeacherStudent, field: Tensor, length: Tensor, labels: Tensor, gamma: Tensor
) -> Tensor:
    """Return the mean loss of each batch and the penalty on γ, summed over replicas."""
    phi = field
    if setup.normalization == "weight":
        phi = gamma * field / length
    elif setup.normalization == "batch":
        spread = field.std(1, correction=0, keepdim=True)
        phi = gamma * (field - field.mean(1, keepdim=True)) / spread
    error = labels - ACTIVATIONS[setup.activation.name](phi)
    return 0.5 * (error**2).mean(1).sum() + setup.gamma_decay * (gamma**2).sum()


def microscopic(
    setup: sbn.TeacherStudent,
    learning_rate: float,
    steps: int,
    start: sbn.OrderParameters,
    dimension: int,
    replicas: int = 1,
    dtype: str = "float64",
    device: str = "cpu",
) -> np.ndarray:
    """Train N weights of all replicas at once; returns (R, L, γ) of each."""
    generator, M, N = torch.Generator(device).manual_seed(0), setup.batch_size, dimension
    options = {"dtype": getattr(torch, dtype), "device": device}
    seeds = range(replicas)
    pairs = [initial(np.random.default_rng(s).standard_normal((2, N)), start) for s in seeds]
    teacher, weights = torch.tensor(np.swapaxes(pairs, 0, 1), **options)
    gamma = torch.full((replicas, 1), start.gamma, **options)
    g = ACTIVATIONS[setup.activation.name]
    for _ in range(steps):
        x = torch.randn((replicas, M, N), generator=generator, **options)
        noise = torch.randn((replicas, M), generator=generator, **options)
        labels = g((x @ teacher[:, :, None])[..., 0] / N**0.5) + setup.label_noise * noise
        weights, gamma = weights.requires_grad_(True), gamma.requires_grad_(True)
        field = (x @ weights[:, :, None])[..., 0] / N**0.5
        length = weights.norm(dim=1, keepdim=True) / N**0.5
        loss(setup, field, length, labels, gamma).backward()
        with torch.no_grad():
            kept = (1 - learning_rate * setup.weight_decay / N) * weights
            weights = kept - learning_rate * weights.grad
            if setup.normalization != "none":
                gamma = gamma - learning_rate / N * gamma.grad
    norm = weights.norm(dim=1)
    overlap = (weights * teacher).sum(1) / (norm * N**0.5)
    return torch.stack([overlap, norm / N**0.5, gamma[:, 0]]).detach().cpu().numpy()


def mesoscopic(
    setup: sbn.TeacherStudent,
    learning_rate: float,
    steps: int,
    start: sbn.OrderParameters,
    dimension: int,
    replicas: int = 1,
    dtype: str = "float64",
    device: str = "cpu",
) -> np.ndarray:
    """Run the exact chain of (ρ, Q, γ) for all replicas at once; returns (R, L, γ) of each."""
    generator, N = torch.Generator(device).manual_seed(0), dimension
    options = {"dtype": getattr(torch, dtype), "device": device}
    g = ACTIVATIONS[setup.activation.name]
    rho = torch.full((replicas, 1), start.overlap * start.length, **options)
    square = torch.full_like(rho, start.length**2)
    gamma = torch.full_like(rho, start.gamma)
    degrees = torch.full_like(rho, (N - 2) / 2)
    keep, unit = 1 - learning_rate * setup.weight_decay / N, learning_rate / N
    for _ in range(steps):
        draws = torch.randn((3, replicas, setup.batch_size), generator=generator, **options)
        u, v, noise = draws
        length = square.sqrt()
        cosine = rho / length
        sine = (1 - cosine**2).sqrt()
        labels = g(cosine * u + sine * v) + setup.label_noise * noise
        field, gamma = (length * u).requires_grad_(True), gamma.requires_grad_(True)
        loss(setup, field, length, labels, gamma).backward()
        c, push, gamma = -field.grad, gamma.grad, gamma.detach()
        along, across = (c * u).sum(1, keepdim=True), (c * v).sum(1, keepdim=True)
        rest = 2 * torch._standard_gamma(degrees, generator=generator) * (c**2).sum(1, keepdim=True)
        if setup.normalization == "none":
            rho = keep * rho + unit * (cosine * along + sine * across)
            square = keep**2 * square + 2 * keep * unit * length * along + (unit * along) ** 2
        else:
            rho, square = keep * rho + unit * sine * across, keep**2 * square
        square = square + unit**2 * (across**2 + rest)
        if setup.normalization != "none":
            gamma = gamma - unit * push
    return torch.stack([rho / square.sqrt(), square.sqrt(), gamma])[..., 0].cpu().numpy()


def offline(
    setup: sbn.TeacherStudent,
    load: float,
    learning_rate: float,
    dimension: int,
    epochs: int,
    dtype: str = "float64",
    device: str = "cpu",
) -> np.ndarray:
    """Train on a finite set in random batches; returns (R, L, γ)."""
    generator, M, N = torch.Generator(device).manual_seed(0), setup.batch_size, dimension
    options = {"dtype": getattr(torch, dtype), "device": device}
    pair = initial(np.random.default_rng(0).standard_normal((2, N)), sbn.OrderParameters(0.0))
    teacher, weights = torch.tensor(np.array(pair), **options)
    weights, gamma = weights.clone()[None], torch.ones((1, 1), **options)
    x = torch.randn((round(load * N), N), generator=generator, **options)
    labels = ACTIVATIONS[setup.activation.name](x @ teacher / N**0.5)
    labels += setup.label_noise * torch.randn(len(x), generator=generator, **options)
    for _ in range(epochs):
        order = torch.randperm(len(x), generator=generator, device=device)
        for batch in order[: len(x) // M * M].reshape(-1, M):
            weights, gamma = weights.requires_grad_(True), gamma.requires_grad_(True)
            field = (x[batch] @ weights[0])[None] / N**0.5
            length = weights.norm(dim=1, keepdim=True) / N**0.5
            loss(setup, field, length, labels[batch][None], gamma).backward()
            with torch.no_grad():
                weights = weights - learning_rate * weights.grad
                if setup.normalization != "none":
                    gamma = gamma - learning_rate / N * gamma.grad
    norm = weights.norm()
    found = torch.stack([(weights[0] @ teacher) / (norm * N**0.5), norm / N**0.5, gamma[0, 0]])
    return found.detach().cpu().numpy()
