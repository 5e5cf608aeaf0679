r"""How far points are from the boundaries of a ReLU network's units.

The affine piece of unit k at x has the boundary at the distance |z_k(x)|/|∇_x z_k(x)|
(Balestriero & Baraniuk 2022). Boundaries of the first layer are straight and this is exact; those
of deeper layers fold at earlier boundaries, where another piece may come closer, or this one may
have ended. In the plane the segments of `partition` give the distance itself.
"""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from statmech_bn.checks import array, instance, integer
from statmech_bn.errors import invalid
from statmech_bn.geometry.network import ReluNetwork
from statmech_bn.geometry.partition import check_partition


def affine_distances(network: ReluNetwork, points: ArrayLike) -> np.ndarray:
    """Return the distance of points from the boundary of every unit's affine piece there.

    Parameters
    ----------
    network : ReluNetwork
    points : array_like
        Shape (points, inputs).

    Returns
    -------
    ndarray
        Shape (points, all units); inf where a unit does not vary.

    Examples
    --------
    >>> from statmech_bn.geometry import Layer
    >>> layer = Layer(np.array([[3.0, 4.0]]), np.array([-5.0]))
    >>> affine_distances(ReluNetwork((layer,)), [[0.0, 0.0]])
    array([[1.]])
    """
    instance("network", network, ReluNetwork)
    fields = np.concatenate(network.fields(points), axis=1)
    slopes = np.concatenate(network.gradients(points), axis=1)
    length = np.linalg.norm(slopes, axis=2)
    distance = np.full(fields.shape, np.inf)
    return np.divide(np.abs(fields), length, out=distance, where=length > 0)


def folded_distances(found: xr.Dataset, points: ArrayLike) -> np.ndarray:
    """Return the distance in the plane from points to the folded boundary of every unit.

    Parameters
    ----------
    found : xarray.Dataset
        From `partition`.
    points : array_like
        Shape (points, 2).

    Returns
    -------
    ndarray
        Shape (points, all units); inf for a unit without boundary in the rectangle.
    """
    check_partition(found)
    places = array("points", points, 2)
    if places.shape[1] != 2:
        raise invalid("points", "finite numbers of shape (points, 2)", points)
    before = np.cumsum([0, *found.attrs["units"]])
    number = before[found["segment_layer"].values] + found["segment_unit"].values
    distance = np.full((len(places), before[-1]), np.inf)
    for unit in np.unique(number):
        start, end = found["segment"].values[number == unit].swapaxes(0, 1)
        along = end - start
        away = places[:, None, :] - start
        part = np.clip((away * along).sum(axis=2) / (along**2).sum(axis=1), 0, 1)
        distance[:, unit] = np.linalg.norm(away - part[..., None] * along, axis=2).min(axis=1)
    return distance


def least_squares_offset(network: ReluNetwork, data: ArrayLike, layer: int) -> xr.Dataset:
    """Compare the offset that BN chooses with the one of least squared distance from the data.

    Layers before and weights stay as they are; the boundary w·a = c of each unit is moved by its
    offset c. In the layer's own input space Σ (h_i − c)²/|w|² is least at the mean of the fields
    h_i = w·a_i. In the space of the data |∇_x h(x_i)| stands for |w|, and the best offset is the
    mean weighted by |∇_x h(x_i)|⁻² (`statmech_bn.symbolic.least_squares_offset`).

    Parameters
    ----------
    network : ReluNetwork
    data : array_like
        Shape (samples, inputs).
    layer : int
        Counted from 0.

    Returns
    -------
    xarray.Dataset
        Over ``unit``: ``mean`` and ``deviation`` of the fields, the ``best`` offset in the space of
        the data, and ``excess``, by how much the sum of squared distances there is larger at the
        mean, relative to the smallest. Samples at which the unit is constant do not count.

    Raises
    ------
    InvalidSetup
        The layer does not exist, or a unit of it is constant at all samples.
    """
    instance("network", network, ReluNetwork)
    layer = integer("layer", layer, 0, maximum=len(network.layers) - 1)
    matrix, offset = network.layers[layer].affine
    scale = np.linalg.norm(network.layers[layer].weights, axis=1) / np.linalg.norm(matrix, axis=1)
    fields = scale * (network.fields(data)[layer] - offset)
    slope = scale * np.linalg.norm(network.gradients(data)[layer], axis=2)
    weight = np.divide(1, slope**2, out=np.zeros(slope.shape), where=slope > 0)
    if not (weight.sum(axis=0) > 0).all():
        raise invalid("data", "samples at which each unit varies", weight.sum(axis=0))
    mean = fields.mean(axis=0)
    best = (weight * fields).sum(axis=0) / weight.sum(axis=0)
    totals = [(weight * (fields - c) ** 2).sum(axis=0) for c in (mean, best)]
    data_variables = {
        "mean": mean,
        "deviation": fields.std(axis=0),
        "best": best,
        "excess": totals[0] / totals[1] - 1,
    }
    return xr.Dataset({name: ("unit", values) for name, values in data_variables.items()})
