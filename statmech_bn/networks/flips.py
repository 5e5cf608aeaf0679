r"""How many ReLU units change sides for the same input when its batch changes.

Every sample is evaluated in two batches that have nothing in common but it (or nearly: both come
from the same data set), or in one batch and under the population's statistics. A unit of the first
layer whose field is Gaussian and normalized by fresh batches of M changes sides with probability

    arccos(1 − 1/M)/π        between two batches,
    arcsin(M^(−1/2))/π       between a batch and the population,

as u − μ_B has the variance 1 − 1/M, the covariance (1 − 1/M)² with its like in another batch, and
1 − 1/M with u. (The second is `statmech_bn.geometry.flip_rate`.)
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import xarray as xr
from torch import Tensor, nn

from statmech_bn import __version__
from statmech_bn.checks import choice, count, integer
from statmech_bn.dataset import describe
from statmech_bn.errors import invalid
from statmech_bn.networks.arguments import check_inputs, check_model
from statmech_bn.networks.surgery import hooked, in_mode, keeping_buffers, refresh_population
from statmech_bn.normalization import BatchNormalization, PopulationNormalization
from statmech_bn.random.streams import stream

REFERENCES = (BatchNormalization.kind, PopulationNormalization.kind)


def flip_rate(
    model: nn.Module,
    inputs: Tensor,
    batch_size: int,
    reference: str = "batch",
    replicas: int = 4,
    seed: int = 0,
) -> xr.Dataset:
    """Measure the share of units, over samples, channels and positions, that change sides.

    Parameters
    ----------
    model : torch.nn.Module
        Whose ReLU modules are the units. It is evaluated in training mode, its population
        statistics refreshed with the inputs; both are given back as they were.
    inputs : torch.Tensor
        (samples, channels, *positions); cut into batches anew for each replica. The rest that
        fills no batch is left out.
    batch_size : int
        M, from 3 to half of the samples.
    reference : {"batch", "population"}
        What is compared with a batch.
    replicas : int
        Random partitions into batches, or pairs of them.
    seed : int

    Returns
    -------
    xarray.Dataset
        ``flip_rate`` over (replica, layer), layers from 1 in the order of evaluation.

    Raises
    ------
    InvalidSetup
        An argument is outside of its range, or the model has no ReLU modules.
    """
    size, copies = count("batch_size", batch_size, 3), count("replicas", replicas)
    check_model(model)
    seed = integer("seed", seed, 0)
    if 2 * size > len(check_inputs("inputs", inputs)):
        raise invalid("batch_size", f"at most half of the {len(inputs)} samples", batch_size)
    choice("reference", reference, REFERENCES)
    units = [module for module in model.modules() if isinstance(module, nn.ReLU)]
    if not units:
        raise invalid("model", "a model with torch.nn.ReLU modules", type(model).__name__)
    rates = []
    with keeping_buffers(model), torch.no_grad():
        refresh_population(model, inputs)
        with in_mode(model, training=False):
            population = _signs(model, units, inputs, len(inputs))
        with in_mode(model, training=True):
            for replica in range(copies):
                generator = stream(seed, 44, replica)
                first = _in_batches(model, units, inputs, size, generator)
                second = (
                    (torch.arange(len(inputs)), population)
                    if reference == PopulationNormalization.kind
                    else _in_batches(model, units, inputs, size, generator)
                )
                rates.append(_changed(first, second, len(inputs)))
    coordinates = {"replica": np.arange(copies), "layer": np.arange(1, len(rates[0]) + 1)}
    data = {"flip_rate": (("replica", "layer"), np.array(rates))}
    attributes = {"batch_size": size, "reference": reference, "seed": seed}
    attributes |= {"samples": len(inputs), "version": __version__}
    return describe(xr.Dataset(data, coordinates, attributes))


Signs = list[Tensor]
"""For each layer, these say which units are on, (samples, ...)."""


def _signs(model: nn.Module, units: Sequence[nn.Module], inputs: Tensor, size: int) -> Signs:
    found: list[Signs] = []

    def record(unit: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        found[-1].append(arguments[0] > 0)

    with hooked(units, before=record):
        for batch in inputs.split(size):
            found.append([])
            model(batch)
    return [torch.cat(layer) for layer in zip(*found, strict=True)]


def _in_batches(
    model: nn.Module,
    units: Sequence[nn.Module],
    inputs: Tensor,
    size: int,
    generator: np.random.Generator,
) -> tuple[Tensor, Signs]:
    """Return the samples that were in a batch, and their signs in the same order."""
    order = torch.from_numpy(generator.permutation(len(inputs)))[: len(inputs) // size * size]
    return order, _signs(model, units, inputs[order.to(inputs.device)], size)


def _changed(
    first: tuple[Tensor, Signs], second: tuple[Tensor, Signs], samples: int
) -> list[float]:
    places = []
    for order, _ in (first, second):
        place = torch.full((samples,), -1)
        place[order] = torch.arange(len(order))
        places.append(place)
    both = (places[0] >= 0) & (places[1] >= 0)
    one, other = (place[both] for place in places)
    return [
        (a[one.to(a.device)] != b[other.to(b.device)]).float().mean().item()
        for a, b in zip(first[1], second[1], strict=True)
    ]
