r"""What one gradient step in all layers at once does to a deep network.

Each layer's weights change by −η times a gradient that was computed with the others in place. If
the activation is homogeneous and nothing normalizes, for large η the new weights are −η times
those gradients, fields grow like ηˡ with the layer l, and their mean square per layer by the factor

    d ln(mean square)/dl ≃ 2 ln η + const.

With batch normalization the fields of a layer do not depend on how long the weights below have
become: whatever η is, nothing accumulates. (Bjorck, Gomes & Selman 2018, section 3.)
"""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from statmech_bn.checks import count, dataset, integer, real, vector
from statmech_bn.dataset import describe
from statmech_bn.depth.network import DeepNetwork, Parameters, check_batch, stepped
from statmech_bn.depth.propagation import cross_entropy, forward, loss_and_gradients
from statmech_bn.errors import NotConverged, invalid
from statmech_bn.random.streams import stream

SMALLEST_STEP, LARGEST_STEP = 1e-12, 1e6
"""Between which the largest stable step is looked for."""


def step_moments(
    network: DeepNetwork,
    inputs: np.ndarray,
    labels: np.ndarray,
    learning_rate: ArrayLike,
    replicas: int = 8,
    seed: int = 0,
) -> xr.Dataset:
    """Take steps of several sizes from random initializations, and look at every layer.

    Parameters
    ----------
    network : DeepNetwork
    inputs, labels : ndarray
        One batch: the gradient's, and that on which the result is seen.
    learning_rate : array_like
        η ≥ 0; 0 shows the initialization.
    replicas, seed : int

    Returns
    -------
    xarray.Dataset
        Over (learning_rate, replica[, layer]): ``channel_mean``, the mean over channels of the
        squared mean of a channel's fields over the batch, ``channel_variance`` of their variance,
        and ``loss``. Fields that overflow are inf.
    """
    rates = vector("learning_rate", learning_rate, minimum=0.0)
    inputs, labels = check_batch(network, inputs, labels)
    replicas, seed = count("replicas", replicas, 1), integer("seed", seed, 0)
    shape = (rates.size, replicas)
    mean, variance = (np.empty((*shape, network.depth)) for _ in range(2))
    loss = np.empty(shape)
    for replica in range(replicas):
        parameters = network.initial(stream(seed, 21, replica))
        _, gradients = loss_and_gradients(network, parameters, inputs, labels)
        for k, rate in enumerate(rates):
            with np.errstate(over="ignore", invalid="ignore"):
                moved = stepped(parameters, gradients.parameters, rate)
                done = forward(network, moved, inputs)
                loss[k, replica] = cross_entropy(done.logits, labels)
                for level, h in enumerate(done.fields):
                    mean[k, replica, level] = np.mean(h.mean(axis=(0, 1)) ** 2)
                    variance[k, replica, level] = np.mean(h.var(axis=(0, 1)))
    dims = ("learning_rate", "replica", "layer")
    found: dict[str, Any] = {
        "channel_mean": (dims, _unbounded(mean)),
        "channel_variance": (dims, _unbounded(variance)),
        "loss": (dims[:2], _unbounded(loss)),
    }
    coordinates = {
        "learning_rate": rates,
        "replica": np.arange(replicas),
        "layer": np.arange(1, network.depth + 1),
    }
    return describe(xr.Dataset(found, coordinates, {**network.to_attrs(), "seed": seed}))


def growth_per_layer(moments: xr.Dataset, skip: int = 1) -> xr.DataArray:
    """Fit a line to the logarithm of the fields' mean square against the layer.

    Parameters
    ----------
    moments : Dataset
        From `step_moments`.
    skip : int
        Lowest layers that are left out.

    Returns
    -------
    DataArray
        ``growth`` (learning_rate, replica): d ln(mean square)/dl; NaN where fields overflow or
        vanish.
    """
    dims = ("learning_rate", "replica", "layer")
    dataset("moments", moments, dict.fromkeys(("channel_mean", "channel_variance"), dims))
    skip = integer("skip", skip, 0)
    square = moments["channel_mean"] + moments["channel_variance"]
    square = square.isel(layer=slice(skip, None)).transpose("learning_rate", "replica", "layer")
    if square.sizes["layer"] < 2:
        raise invalid("skip", "one that leaves two layers", skip)
    with np.errstate(divide="ignore"):
        logarithm = np.log(square.values)
    bounded = np.isfinite(logarithm).all(axis=2)
    layer = square["layer"].values - square["layer"].values.mean()
    slope = np.where(bounded[..., None], logarithm, 0.0) @ layer / np.sum(layer**2)
    coordinates = {name: moments[name] for name in ("learning_rate", "replica")}
    attributes = {
        "long_name": "growth per layer",
        "symbol": r"$d\ln\overline{h^2}/dl$",
        "units": "1",
    }
    return xr.DataArray(
        np.where(bounded, slope, np.nan), coordinates, name="growth", attrs=attributes
    )


def largest_step(
    network: DeepNetwork,
    inputs: np.ndarray,
    labels: np.ndarray,
    replicas: int = 8,
    seed: int = 0,
    factor: float = 1.0,
) -> xr.DataArray:
    """Find the smallest η at which a step along the gradient leaves too large a loss.

    Parameters
    ----------
    network : DeepNetwork
    inputs, labels : ndarray
        One batch.
    replicas, seed : int
        Random initializations.
    factor : float
        The loss is too large where it is at least this multiple, ≥ 1, of the one before: 1 asks
        the step to descend, 2 only not to explode.

    Returns
    -------
    DataArray
        ``largest_step`` (replica), to 2 %.

    Raises
    ------
    NotConverged
        No step between 10⁻¹² and 10⁶ is too large, or the smallest already is.
    """
    inputs, labels = check_batch(network, inputs, labels)
    replicas, seed = count("replicas", replicas, 1), integer("seed", seed, 0)
    factor = real("factor", factor, minimum=1.0)
    found = np.empty(replicas)
    for replica in range(replicas):
        parameters = network.initial(stream(seed, 21, replica))
        before, gradients = loss_and_gradients(network, parameters, inputs, labels)

        def is_stable(
            rate: float,
            parameters: list[Parameters] = parameters,
            slopes: list[Parameters] = gradients.parameters,
            before: float = before,
        ) -> bool:
            with np.errstate(over="ignore", invalid="ignore"):
                done = forward(network, stepped(parameters, slopes, rate), inputs)
                return cross_entropy(done.logits, labels) < factor * before

        rates = np.geomspace(SMALLEST_STEP, LARGEST_STEP, 73)
        first = next((k for k, rate in enumerate(rates) if not is_stable(rate)), None)
        if not first:
            raise NotConverged(
                f"{'No step' if first is None else 'Every step'} between {SMALLEST_STEP:g} and "
                f"{LARGEST_STEP:g} leaves {factor:g} times the loss or more."
            )
        low, high = rates[first - 1], rates[first]
        while high > 1.02 * low:
            middle = np.sqrt(low * high)
            low, high = (middle, high) if is_stable(middle) else (low, middle)
        found[replica] = np.sqrt(low * high)
    return describe(
        xr.Dataset({"largest_step": ("replica", found)}, {"replica": np.arange(replicas)})
    )["largest_step"]


def _unbounded(values: np.ndarray) -> np.ndarray:
    """Let inf stand for what overflowed on the way, and is NaN."""
    return np.where(np.isnan(values), np.inf, values)
