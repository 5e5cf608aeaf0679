r"""Sharpness: the largest eigenvalues of the Hessian, and of the Fisher information, by Lanczos.

The Hessian of the mean loss acts on a vector by a second backward pass, Hv = ∇(∇ℓ·v), at the cost
of two gradients; ARPACK needs some tens of them. Gradient descent with the step η is unstable
beyond an eigenvalue of 2/η.

The Fisher information of the weights is F = ⟨J'A''J⟩ over samples, with the derivatives J of the
outputs and A'' of `statmech_bn.networks.losses`: the Hessian without the curvature of the outputs.
It acts by three passes, u ↦ J'u, its derivative along v, which is Jv, and J'A''(Jv).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
import xarray as xr
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh
from torch import Tensor, nn

from statmech_bn import __version__
from statmech_bn.checks import integer, real
from statmech_bn.dataset import describe
from statmech_bn.errors import NotConverged, invalid
from statmech_bn.networks.arguments import check_inputs, check_labels, check_model, fitting
from statmech_bn.networks.losses import loss_named
from statmech_bn.networks.surgery import keeping_buffers
from statmech_bn.random.streams import stream


def sharpness(
    model: nn.Module,
    inputs: Tensor,
    labels: Tensor,
    number: int = 1,
    loss: str = "cross_entropy",
    tolerance: float = 1e-3,
    seed: int = 0,
) -> xr.Dataset:
    """Find the largest eigenvalues of the Hessian with respect to all parameters.

    Parameters
    ----------
    model : torch.nn.Module
        In training mode its layers normalize by the statistics of the inputs, and derivatives flow
        through them; in evaluation mode by the population's, as constants.
    inputs, labels : torch.Tensor
        One batch, on the model's device.
    number : int
        Eigenvalues, fewer than there are parameters.
    loss : {"cross_entropy", "squared"}
    tolerance : float
        Relative accuracy, > 0; float32 does not resolve less than some 1e-4.
    seed : int
        The first vector of the iterations follows from it.

    Returns
    -------
    xarray.Dataset
        ``sharpness`` over ``rank``, from 1, largest first.

    Raises
    ------
    InvalidSetup
        An argument is outside of its range, or the loss is not finite.
    NotConverged
        The iterations stopped before they reached the tolerance.
    """
    mean_loss = loss_named(loss).mean
    check_model(model)
    check_labels("labels", labels, check_inputs("inputs", inputs), loss)
    lanczos = _Lanczos(model, number, tolerance, seed)
    with keeping_buffers(model), fitting(inputs):
        value = _finite(mean_loss(model(inputs), labels))
    slopes = lanczos.derivatives(value, create_graph=True)
    found = lanczos.largest(lambda v: lanczos.derivatives(slopes, v), inputs)
    return _dataset("sharpness", found, loss, inputs)


def fisher_eigenvalues(
    model: nn.Module,
    inputs: Tensor,
    number: int = 1,
    loss: str = "cross_entropy",
    tolerance: float = 1e-3,
    seed: int = 0,
) -> xr.Dataset:
    """Find the largest eigenvalues of the Fisher information with respect to all parameters.

    Parameters
    ----------
    model : torch.nn.Module
        As for `sharpness`.
    inputs : torch.Tensor
        One batch, on the model's device.
    number : int
        Eigenvalues, fewer than there are parameters.
    loss : {"cross_entropy", "squared"}
        Its A'' is that of the outputs.
    tolerance : float
        Relative accuracy, > 0; float32 does not resolve less than some 1e-4.
    seed : int
        The first vector of the iterations follows from it.

    Returns
    -------
    xarray.Dataset
        ``fisher_eigenvalue`` over ``rank``, from 1, largest first.

    Raises
    ------
    InvalidSetup
        An argument is outside of its range, or an output is not finite.
    NotConverged
        The iterations stopped before they reached the tolerance.
    """
    roots = loss_named(loss).roots
    check_model(model)
    check_inputs("inputs", inputs)
    lanczos = _Lanczos(model, number, tolerance, seed)
    with keeping_buffers(model), fitting(inputs):
        outputs = model(inputs)
        root = roots(_finite(outputs).detach())
    dummy = torch.zeros_like(outputs, requires_grad=True)
    slopes = lanczos.derivatives(outputs, [dummy], create_graph=True)

    def product(v: Sequence[Tensor]) -> tuple[Tensor, ...]:
        [along] = torch.autograd.grad(slopes, dummy, v, retain_graph=True)
        curved = (root * (root * along).sum(2, keepdim=True)).sum(0) / len(inputs)
        return lanczos.derivatives(outputs, [curved])

    return _dataset("fisher_eigenvalue", lanczos.largest(product, inputs), loss, inputs)


class _Lanczos:
    """Largest eigenvalues of a matrix that acts on all parameters of a model."""

    def __init__(self, model: nn.Module, number: int, tolerance: float, seed: int) -> None:
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        self.sizes = [p.numel() for p in self.parameters]
        self.size, self.wanted = sum(self.sizes), integer("number", number, 1)
        if self.wanted >= self.size:
            raise invalid("number", f"fewer than the {self.size} parameters", number)
        if real("tolerance", tolerance, 0.0) == 0:
            raise invalid("tolerance", "a number > 0", tolerance)
        self.tolerance, self.seed = tolerance, integer("seed", seed, 0)

    def derivatives(
        self,
        values: Tensor | Sequence[Tensor],
        along: Sequence[Tensor] | None = None,
        create_graph: bool = False,
    ) -> tuple[Tensor, ...]:
        """Differentiate with respect to the parameters; the graph stays."""
        return torch.autograd.grad(
            values,
            self.parameters,
            along,
            retain_graph=True,
            create_graph=create_graph,
            allow_unused=True,
            materialize_grads=True,
        )

    def largest(
        self, product: Callable[[Sequence[Tensor]], Sequence[Tensor]], example: Tensor
    ) -> np.ndarray:
        """Find the eigenvalues, largest first."""

        def act(vector: np.ndarray) -> np.ndarray:
            given = torch.as_tensor(vector.ravel(), dtype=example.dtype, device=example.device)
            parts = given.split(self.sizes)
            along = [v.view_as(p) for v, p in zip(parts, self.parameters, strict=True)]
            return torch.cat([c.flatten() for c in product(along)]).double().cpu().numpy()

        start = stream(self.seed, 43).standard_normal(self.size)
        matrix = LinearOperator((self.size, self.size), matvec=act, dtype=np.float64)
        if not act(start).any():  # as if all units are off, there is no curvature at all
            return np.zeros(self.wanted)
        try:
            found = eigsh(
                matrix,
                self.wanted,
                which="LA",
                v0=start,
                tol=self.tolerance,
                return_eigenvectors=False,
            )
        except ArpackNoConvergence as error:
            raise NotConverged(f"Lanczos iterations: {error}") from error
        return np.sort(found)[::-1].copy()


def _finite(values: Tensor) -> Tensor:
    if not torch.isfinite(values).all():
        raise invalid("model", "a finite loss", values.detach().flatten()[0].item())
    return values


def _dataset(name: str, values: np.ndarray, loss: str, inputs: Tensor) -> xr.Dataset:
    attributes = {"loss": loss, "samples": len(inputs), "version": __version__}
    coordinates = {"rank": np.arange(1, len(values) + 1)}
    return describe(xr.Dataset({name: ("rank", values)}, coordinates, attributes))
