r"""The exact partition of the plane into the cells on which a ReLU network is affine.

On a convex cell where the layers before are affine, z_k(x) = g_k·x + c_k for every unit k of the
next layer, and the line z_k = 0 cuts the cell in two where it crosses it. Starting from one
rectangle and cutting layer by layer, unit by unit, gives all cells, and all boundaries as segments
(Balestriero & Baraniuk 2022). The cells of one activation pattern form one convex polygon.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from statmech_bn import __version__
from statmech_bn.checks import array, instance, integers
from statmech_bn.dataset import describe
from statmech_bn.errors import invalid
from statmech_bn.geometry.network import ReluNetwork

ROUNDING = 1e-12
"""A corner whose field is smaller than this times the field's scale lies on the boundary."""
PARTS = {
    "vertex": ("corner", "coordinate"), "offset": ("cell_edge",), "segment_layer": ("boundary",),
    "segment": ("boundary", "end", "coordinate"), "segment_unit": ("boundary",),
}  # fmt: skip
"""Variables of a partition that are read, and their dims."""


class _Cell(NamedTuple):
    """A convex polygon, its activations so far, and the next layer's inputs on it, Ax + c."""

    corners: np.ndarray
    active: np.ndarray
    matrix: np.ndarray
    offset: np.ndarray


def partition(network: ReluNetwork, bounds: ArrayLike) -> xr.Dataset:
    """Cut a rectangle into the cells on which a network is affine.

    Parameters
    ----------
    network : ReluNetwork
        A network of two inputs; `ReluNetwork.section` makes one of a network of more.
    bounds : array_like
        ((x_min, x_max), (y_min, y_max)).

    Returns
    -------
    xarray.Dataset
        ``vertex`` (corner, coordinate) holds the corners of all cells in turn, anticlockwise, those
        of cell n from ``offset[n]`` to ``offset[n + 1]``; ``active`` (cell, unit) the activation
        pattern; ``segment`` (boundary, end, coordinate) the straight pieces of the boundaries, of
        unit ``segment_unit`` of layer ``segment_layer``, both counted from 0.

    Raises
    ------
    InvalidSetup
        The network's inputs are not two, or the bounds are not increasing.

    Examples
    --------
    >>> found = partition(ReluNetwork.random((2, 8), seed=1), ((-1, 1), (-1, 1)))
    >>> found.sizes["cell"], found.sizes["boundary"]  # lines through one point
    (16, 15)
    """
    instance("network", network, ReluNetwork)
    box = array("bounds", bounds, 2)
    if network.inputs != 2:
        raise invalid("network", "two inputs", network.inputs, "Use ReluNetwork.section.")
    if box.shape != (2, 2) or not (box[:, 0] < box[:, 1]).all():
        raise invalid("bounds", "((x_min, x_max), (y_min, y_max))", bounds)
    (left, right), (bottom, top) = box
    corners = np.array([[left, bottom], [right, bottom], [right, top], [left, top]])
    cells = [_Cell(corners, np.zeros(0, dtype=bool), np.eye(2), np.zeros(2))]
    segments: list[np.ndarray] = []
    origin: list[tuple[int, int]] = []
    for number, layer in enumerate(network.layers):
        matrix, offset = layer.affine
        pieces = []
        for cell in cells:
            slope, constant = matrix @ cell.matrix, matrix @ cell.offset + offset
            polygons, cuts = _cut(cell.corners, slope, constant)
            segments += [ends for _, ends in cuts]
            origin += [(number, unit) for unit, _ in cuts]
            for polygon, on in polygons:
                active = np.concatenate([cell.active, on])
                pieces.append(_Cell(polygon, active, on[:, None] * slope, on * constant))
        cells = pieces
    layers, units = np.array(origin, dtype=np.int64).reshape(-1, 2).T
    data = {
        "vertex": (("corner", "coordinate"), np.concatenate([cell.corners for cell in cells])),
        "offset": ("cell_edge", np.cumsum([0, *(len(cell.corners) for cell in cells)])),
        "active": (("cell", "unit"), np.array([cell.active for cell in cells])),
        "segment": (("boundary", "end", "coordinate"), np.reshape(segments, (-1, 2, 2))),
        "segment_layer": ("boundary", layers),
        "segment_unit": ("boundary", units),
        "bounds": (("coordinate", "end"), box),
    }
    attributes = {"units": list(network.units), "version": __version__}
    return describe(xr.Dataset(data, attrs=attributes))


def polygons(found: xr.Dataset) -> list[np.ndarray]:
    """Return the corners of each cell of a partition, of shape (corners, 2).

    Parameters
    ----------
    found : xarray.Dataset
        What `partition` returned.

    Returns
    -------
    list of ndarray
        One for each cell.

    Examples
    --------
    >>> from statmech_bn.geometry import ReluNetwork
    >>> found = partition(ReluNetwork.random((2, 3), seed=1), [[-2, 2], [-2, 2]])
    >>> len(polygons(found)) == found.sizes["cell"]
    True
    """
    check_partition(found)
    return np.split(found["vertex"].values, found["offset"].values[1:-1])


def check_partition(found: xr.Dataset) -> None:
    """Raise InvalidSetup unless this is what `partition` returns, which may be from a file."""
    instance("found", found, xr.Dataset)
    for name, dims in PARTS.items():
        kinds = "iu" if len(dims) == 1 else "iuf"
        if name not in found or found[name].dims != dims or found[name].dtype.kind not in kinds:
            raise invalid("found", f"{name!r} as partition returns it", found.get(name))
    units = np.array(integers("found.attrs['units']", found.attrs.get("units"), 1))
    layer, unit = found["segment_layer"].values, found["segment_unit"].values
    inside = (layer >= 0) & (layer < units.size) & (unit >= 0)
    if not inside.all() or not (unit < units[layer]).all():
        raise invalid("found", "segments of its units", f"layers {layer}, units {unit}")


def _cut(
    corners: np.ndarray, slope: np.ndarray, constant: np.ndarray
) -> tuple[list[tuple[np.ndarray, np.ndarray]], list[tuple[int, np.ndarray]]]:
    """Cut a cell by all units of a layer: its pieces with their activations, and the cuts."""
    values = corners @ slope.T + constant
    highest, lowest = values.max(axis=0), values.min(axis=0)
    scale = np.abs(slope) @ np.abs(corners).max(axis=0) + np.abs(constant)
    tolerance = ROUNDING * scale
    pieces = [(corners, highest > -lowest)]
    cuts = []
    for unit in np.flatnonzero((highest > tolerance) & (lowest < -tolerance)):
        divided = []
        for polygon, active in pieces:
            sides, ends = _split(polygon, slope[unit], constant[unit], tolerance[unit])
            for part, side in sides:
                on = active.copy()
                on[unit] = side
                divided.append((part, on))
            if ends is not None:
                cuts.append((int(unit), ends))
        pieces = divided
    return pieces, cuts


def _split(
    polygon: np.ndarray, slope: np.ndarray, constant: float, tolerance: float
) -> tuple[list[tuple[np.ndarray, bool]], np.ndarray | None]:
    """Split a convex polygon where slope·x + constant = 0: its parts, and the cut between them."""
    values = polygon @ slope + constant
    values[np.abs(values) <= tolerance] = 0
    if (values >= 0).all() or (values <= 0).all():
        return [(polygon, bool(values.sum() > 0))], None
    above: list[np.ndarray] = []
    below: list[np.ndarray] = []
    ends: list[np.ndarray] = []
    for k, (corner, value) in enumerate(zip(polygon, values, strict=True)):
        before = values[k - 1]
        if before * value < 0:
            crossing = polygon[k - 1] + before / (before - value) * (corner - polygon[k - 1])
            for points in (above, below, ends):
                points.append(crossing)
        if value == 0:
            ends.append(corner)
        if value >= 0:
            above.append(corner)
        if value <= 0:
            below.append(corner)
    return [(np.array(below), False), (np.array(above), True)], np.array(ends)
