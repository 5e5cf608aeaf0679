"""The second tab: how a random ReLU network cuts the plane, without and with batch normalization.

A network of two layers is drawn as He et al. initialize it, without biases, and put on a cloud of
points away from the origin. Without normalization the boundaries of its first layer all go through
the origin; the statistics of a batch move those of every unit to the mean of the batch (Balestriero
& Baraniuk 2022), and another batch moves them elsewhere.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

from statmech_bn.explore.state import State
from statmech_bn.geometry import ReluNetwork, partition, point_cloud
from statmech_bn.normalization import BatchNormalization, Unnormalized

SAMPLES = 200
"""Points of the cloud."""
WINDOW = 3.0
"""The square that is cut reaches so far from the centre of the points to each side."""
PLAIN, OF_BATCH = Unnormalized.kind, BatchNormalization.kind
TITLES = {PLAIN: "without BN", OF_BATCH: "with BN"}


def partitions(state: State) -> dict[str, xr.Dataset]:
    """Cut the plane by a network without and with the statistics of a batch.

    Parameters
    ----------
    state : State

    Returns
    -------
    dict
        "none" and "batch" → what `statmech_bn.geometry.partition` returns, with ``points``
        (sample, coordinate), the batch first.
    """
    points, _ = point_cloud(state.data, SAMPLES, 0)
    generator = np.random.default_rng(state.network)
    angle = generator.uniform(0, 2 * np.pi)
    centre = state.shift * np.array([np.cos(angle), np.sin(angle)])
    points = generator.permutation(points) + centre
    plain = ReluNetwork.random((2, state.units, state.units), state.network)
    networks = {
        PLAIN: plain,
        OF_BATCH: plain.with_batch_statistics(points[: state.data_batch]),
    }
    bounds = centre[:, None] + WINDOW * np.array([-1, 1])
    return {
        name: partition(network, bounds)
        .assign(points=(("sample", "coordinate"), points))
        .assign_attrs(batch=state.data_batch)
        for name, network in networks.items()
    }
