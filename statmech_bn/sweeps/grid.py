"""A grid: the product of its axes in C order, cut into chunks that depend on the grid alone.

A chunk is what a file of the store holds: a box of neighbouring points. The last axes lie whole in
a chunk, one axis is cut evenly, and the first have one value in each. How the chunks are shared out
to workers is decided elsewhere and leaves no trace in the store.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from statmech_bn.checks import UNREADABLE, instance, integer
from statmech_bn.errors import invalid
from statmech_bn.storable import check_name, is_text

CHUNKS = 256
"""A grid is cut into at least this many (or into its points), so that a kill loses little."""
CHUNK_BYTES = 2**20
"""A chunk has at most this many bytes, unless a point has more."""
Box = tuple[slice, ...]


@dataclass(frozen=True)
class Grid:
    """Axes by name, one-dimensional arrays of numbers, booleans or strings."""

    axes: dict[str, np.ndarray]

    @classmethod
    def of(cls, grid: Mapping[str, Sequence[Any]]) -> Grid:
        """Check a grid that a user gives.

        Raises
        ------
        InvalidSetup
            No axis, or one that is empty, repeats a value, or holds something else.
        """
        if not isinstance(grid, Mapping) or not grid:
            raise invalid("grid", "a mapping from argument names to sequences of values", grid)
        for name in grid:
            check_name(f"grid[{name!r}]", name)
        return cls({name: _axis(name, values) for name, values in grid.items()})

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the axes, which are the first dims of the result."""
        return tuple(self.axes)

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes."""
        return tuple(axis.size for axis in self.axes.values())

    @property
    def size(self) -> int:
        """Number of points."""
        return math.prod(self.shape)

    def part(self, box: Box) -> list[np.ndarray]:
        """Return the values of each axis within a box."""
        return [axis[cut] for axis, cut in zip(self.axes.values(), box, strict=True)]

    def point(self, number: int) -> list[np.ndarray]:
        """Return a point, counted in C order, as a box of its own."""
        index = np.unravel_index(number, self.shape)
        return self.part(tuple(slice(i, i + 1) for i in index))


@dataclass(frozen=True)
class Chunks:
    """Boxes of equal shape (smaller at the end of an axis) that cover a grid, in C order."""

    grid_shape: tuple[int, ...]
    shape: tuple[int, ...]

    @classmethod
    def of(cls, grid_shape: tuple[int, ...], points: int) -> Chunks:
        """Cut a grid into chunks of at most so many points (at least one), and not many fewer."""
        shape: list[int] = []
        for length in reversed(grid_shape):
            parts = math.ceil(length / max(1, points))
            shape.append(math.ceil(length / parts))
            points //= shape[-1]
        return cls(grid_shape, tuple(reversed(shape)))

    @classmethod
    def by_default(cls, grid_shape: tuple[int, ...], point_bytes: int) -> Chunks:
        """Cut a grid whose points have so many bytes."""
        points = min(math.prod(grid_shape) // CHUNKS, CHUNK_BYTES // point_bytes)
        return cls.of(grid_shape, points)

    @property
    def counts(self) -> tuple[int, ...]:
        """Chunks along each axis."""
        return tuple(math.ceil(n / k) for n, k in zip(self.grid_shape, self.shape, strict=True))

    def __len__(self) -> int:
        return math.prod(self.counts)

    def index(self, number: int) -> tuple[int, ...]:
        """Return where a chunk stands among the chunks."""
        return tuple(int(i) for i in np.unravel_index(number, self.counts))

    def box(self, number: int) -> Box:
        """Return the part of the grid that a chunk holds."""
        return tuple(
            slice(i * k, min((i + 1) * k, n))
            for i, k, n in zip(self.index(number), self.shape, self.grid_shape, strict=True)
        )

    def points(self, number: int) -> int:
        """Count the points of a chunk."""
        return math.prod(cut.stop - cut.start for cut in self.box(number))


def points_of(
    names: tuple[str, ...], part: list[np.ndarray]
) -> Iterator[tuple[tuple[int, ...], dict[str, Any]]]:
    """Iterate over the points of a box: index within the box, and the arguments."""
    indices = np.ndindex(*(axis.size for axis in part))
    for index, values in zip(indices, product(*(axis.tolist() for axis in part)), strict=True):
        yield index, dict(zip(names, values, strict=True))


def point_seed(seed: int, point: Mapping[str, Any]) -> int:
    """Return the seed of one point of a sweep.

    It follows from the sweep's seed and the point's own values by `numpy.random.SeedSequence`, so
    a point has the same results in every grid that contains it.

    Parameters
    ----------
    seed : int
        Seed of the sweep, ≥ 0.
    point : mapping
        Values by the names of the axes; their order does not matter, nor whether a whole number
        is an integer or a float.

    Returns
    -------
    int
        In [0, 2⁵³).

    Raises
    ------
    InvalidSetup
        The seed is no integer ≥ 0, or a value is neither a number nor a text.

    Examples
    --------
    >>> point_seed(0, {"batch_size": 4}) == point_seed(0, {"batch_size": 4.0})
    True
    """
    seed = integer("seed", seed, 0)
    instance("point", point, Mapping)
    if not all(isinstance(name, str) for name in point):
        raise invalid("point", "names of arguments", list(point))
    values = {name: _written(name, value) for name, value in point.items()}
    digest = hashlib.sha256(json.dumps(values, sort_keys=True).encode()).digest()
    key = np.frombuffer(digest, "<u4").tolist()
    return int(np.random.SeedSequence(seed, spawn_key=key).generate_state(1, np.uint64)[0] >> 11)


def _written(name: str, value: Any) -> str:
    """Write a value of an axis: a text, a boolean, or a number, which may be infinite."""
    if isinstance(value, (str, bool)):
        return repr(value)
    try:
        number = float(value)
    except UNREADABLE:
        number = math.nan
    if math.isnan(number):
        raise invalid(f"point[{name!r}]", "a number, a boolean or a text", value)
    return repr(number)


def _axis(name: str, values: Sequence[Any]) -> np.ndarray:
    """Check the values of one axis."""
    kind = "a sequence of numbers, booleans or strings, at least one and each once"
    if isinstance(values, (str, bytes)):
        raise invalid(f"grid[{name!r}]", kind, values)
    try:
        listed = list(values)
        axis = np.asarray(listed)
    except (TypeError, ValueError) as error:
        raise invalid(f"grid[{name!r}]", kind, values) from error
    kept = all(map(is_text, listed)) if axis.dtype.kind == "U" else axis.dtype.itemsize <= 8
    kept = kept and axis.ndim == 1 and axis.size > 0 and axis.dtype.kind in "biufU"
    # no float holds a large integer, and NaN equals nothing
    if not kept or axis.tolist() != listed or np.unique(axis).size != axis.size:
        raise invalid(f"grid[{name!r}]", kind, values)
    return axis
