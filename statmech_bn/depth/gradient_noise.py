r"""How far the gradient of a batch of M samples is from that of all P.

With G the mean over samples, C = mean |∇ℓ_b − G|² the trace of their covariance,

    E |∇ℓ_B − G|² = C/M                      drawn with replacement,
                    C/M · (P − M)/(P − 1)    without: what is left varies less.

A step of size η has the noise η² C/M, or η²/M at small M/P. With batch normalization the gradient
of a batch is not a mean over samples; its own mean moves with M, and M times its variance is
constant only for large M. (Bjorck, Gomes & Selman 2018, section 2; the corrections are textbook.)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from statmech_bn.checks import count, integer, integers
from statmech_bn.dataset import describe
from statmech_bn.depth.network import DeepNetwork, Parameters, check_batch
from statmech_bn.depth.propagation import loss_and_gradients
from statmech_bn.errors import invalid
from statmech_bn.random.streams import stream

SAMPLING = {"with": True, "without": False}
"""Whether a sample may be drawn twice."""


def gradient_noise(
    network: DeepNetwork,
    inputs: np.ndarray,
    labels: np.ndarray,
    batch_sizes: Sequence[int],
    draws: int = 200,
    replicas: int = 8,
    seed: int = 0,
) -> xr.Dataset:
    """Measure the variance of the batch gradient at one random initialization.

    Parameters
    ----------
    network : DeepNetwork
    inputs, labels : ndarray
        All P samples.
    batch_sizes : sequence of int
        M < P; at least 3 with batch normalization.
    draws : int
        Batches of a replica, ≥ 2.
    replicas : int
        Independent estimates for the same network, from which the error comes.
    seed : int

    Returns
    -------
    xarray.Dataset
        ``noise_with`` and ``noise_without`` replacement (batch_size, replica), the trace of the
        covariance, and, without batch normalization, ``theory_with``, ``theory_without``.
    """
    inputs, labels = check_batch(network, inputs, labels)
    draws, replicas = count("draws", draws, 2), count("replicas", replicas, 1)
    sizes = integers("batch_sizes", batch_sizes, network.normalizer.smallest_group)
    population = labels.size
    if max(sizes) >= population:
        raise invalid("batch_sizes", f"numbers below the {population} samples", batch_sizes)
    seed = integer("seed", seed, 0)
    parameters = network.initial(stream(seed, 22))

    def gradient(chosen: np.ndarray) -> np.ndarray:
        found = loss_and_gradients(network, parameters, inputs[chosen], labels[chosen])[1]
        return _flat(found.parameters)

    noise = {way: np.empty((len(sizes), replicas)) for way in SAMPLING}
    for k, size in enumerate(sizes):
        for replica in range(replicas):
            for index, (way, again) in enumerate(SAMPLING.items()):
                generator = stream(seed, 23, size, replica, index)
                found = np.stack(
                    [
                        gradient(generator.choice(population, size, replace=again))
                        for _ in range(draws)
                    ]
                )
                noise[way][k, replica] = found.var(axis=0, ddof=1).sum()
    data: dict[str, Any] = {
        f"noise_{way}": (("batch_size", "replica"), value) for way, value in noise.items()
    }
    if not network.normalizer.of_batch:
        single = np.stack([gradient(np.array([b])) for b in range(population)])
        spread = single.var(axis=0).sum()
        infinite = spread / np.array(sizes)
        finite = infinite * (population - np.array(sizes)) / (population - 1)
        data |= {"theory_with": ("batch_size", infinite), "theory_without": ("batch_size", finite)}
    coordinates = {"batch_size": sizes, "replica": np.arange(replicas)}
    attributes = {**network.to_attrs(), "samples": population, "seed": seed}
    return describe(xr.Dataset(data, coordinates, attributes))


def _flat(parameters: list[Parameters]) -> np.ndarray:
    return np.concatenate([part.ravel() for layer in parameters for part in layer])
