r"""Sharpness: the largest eigenvalues of the Hessian of the mean loss, by Lanczos iterations.

The Hessian acts on a vector by a second backward pass, Hv = ∇(∇ℓ·v), at the cost of two gradients;
ARPACK needs some tens of them. Gradient descent with the step η is unstable beyond an eigenvalue of
2/η.
"""

from __future__ import annotations

from importlib.metadata import version

import numpy as np
import torch
import xarray as xr
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh
from torch import Tensor, nn

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
    parameters = [p for p in model.parameters() if p.requires_grad]
    sizes = [p.numel() for p in parameters]
    size, wanted = sum(sizes), integer("number", number, 1)
    if wanted >= size:
        raise invalid("number", f"fewer than the {size} parameters", number)
    if real("tolerance", tolerance, 0.0) == 0:
        raise invalid("tolerance", "a number > 0", tolerance)
    with keeping_buffers(model), fitting(inputs):
        value = mean_loss(model(inputs), labels)
    if not torch.isfinite(value):
        raise invalid("model", "a finite loss", value.item())
    slopes = torch.autograd.grad(
        value, parameters, create_graph=True, allow_unused=True, materialize_grads=True
    )

    def product(vector: np.ndarray) -> np.ndarray:
        given = torch.as_tensor(vector.ravel(), dtype=inputs.dtype, device=inputs.device)
        along = [v.view_as(p) for v, p in zip(given.split(sizes), parameters, strict=True)]
        curved = torch.autograd.grad(
            slopes,
            parameters,
            along,
            retain_graph=True,
            allow_unused=True,
            materialize_grads=True,
        )
        return torch.cat([c.flatten() for c in curved]).double().cpu().numpy()

    start = stream(integer("seed", seed, 0), 43).standard_normal(size)
    hessian = LinearOperator((size, size), matvec=product, dtype=np.float64)
    found = np.zeros(wanted)
    if product(start).any():  # otherwise, as if all units are off, there is no curvature at all
        try:
            found = eigsh(
                hessian, wanted, which="LA", v0=start, tol=tolerance, return_eigenvectors=False
            )
        except ArpackNoConvergence as error:
            raise NotConverged(f"Lanczos iterations: {error}") from error
    data = {"sharpness": ("rank", np.sort(found)[::-1].copy())}
    attributes = {"loss": loss, "samples": len(inputs), "version": version("statmech_bn")}
    return describe(xr.Dataset(data, {"rank": np.arange(1, wanted + 1)}, attributes))
