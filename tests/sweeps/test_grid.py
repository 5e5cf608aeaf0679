"""Grids: which axes there are, how they are cut, and what tells one point from another."""

import math

import numpy as np
import pytest

from statmech_bn.errors import InvalidSetup
from statmech_bn.sweeps import point_seed
from statmech_bn.sweeps.grid import Chunks, Grid, points_of


@pytest.mark.parametrize(
    "values",
    [b"abc", [1j], [np.datetime64("2026-01-01")], [True, 2.5, "a"], [0.1, np.inf, np.nan], [{}]],
    ids=str,
)
def test_axes_hold_numbers_booleans_or_texts(values):
    with pytest.raises(InvalidSetup, match=r"^grid\['x'\]: expected a sequence of numbers"):
        Grid.of({"x": values})


@pytest.mark.parametrize("values", [[True, False], ["a", "bc"], [math.inf, 0.5], [2**62, 3]])
def test_points_have_the_values_that_were_given(values):
    grid = Grid.of({"x": values, "y": [7]})
    assert (grid.names, grid.shape, grid.size) == (("x", "y"), (2, 1), 2)
    points = [point for _, point in points_of(grid.names, list(grid.axes.values()))]
    assert points == [{"x": value, "y": 7} for value in values]
    assert [type(point["x"]) for point in points] == [type(value) for value in values]
    assert [next(points_of(grid.names, grid.point(n)))[1] for n in range(2)] == points


def test_the_last_axes_lie_whole_in_a_chunk_and_one_is_cut_evenly():
    chunks = Chunks.of((4, 6, 5), 12)
    assert (chunks.shape, chunks.counts, len(chunks)) == ((1, 2, 5), (4, 3, 1), 12)
    assert chunks.index(5) == (1, 2, 0)
    assert chunks.box(5) == (slice(1, 2), slice(4, 6), slice(0, 5))
    uneven = Chunks.of((7,), 3)  # three chunks of 3, 3 and 1
    assert [uneven.points(n) for n in range(len(uneven))] == [3, 3, 1]


def test_chunks_are_many_and_small():
    """At least 256 of at most 1 MiB, unless there are fewer points or a point is larger."""
    assert Chunks.by_default((2560,), 8).shape == (10,)
    assert Chunks.by_default((255,), 8).shape == Chunks.by_default((511,), 8).shape == (1,)
    for point_bytes, points in ((2**18, 4), (2**19 + 1, 1), (3 * 2**20, 1)):
        assert Chunks.by_default((256 * 100,), point_bytes).shape == (points,)


def test_whatever_differs_has_a_seed_of_its_own():
    values = [True, 1, "1.0", "True", math.inf, -1, 0.5]
    assert len({point_seed(0, {"x": value}) for value in values}) == len(values)
    assert point_seed(0, {"x": 1}) == point_seed(0, {"x": 1.0}) == point_seed(0, {"x": np.int8(1)})
    assert point_seed(0, {"x": 1}) != point_seed(0, {"y": 1})
    for value in (math.nan, None, [1, 2]):
        with pytest.raises(InvalidSetup, match=r"^point\['x'\]: expected"):
            point_seed(0, {"x": value})
    for seed, point, named in ((-1, {}, "seed"), (0, ["x"], "point"), (0, {1: 1}, "point")):
        with pytest.raises(InvalidSetup, match=f"^{named}: expected"):
            point_seed(seed, point)


def test_seeds_are_spread_over_their_range():
    """Means of 53 bits of 2000 seeds, each 1/2 within 4.5 standard errors."""
    seeds = np.array([point_seed(0, {"x": x}) for x in range(2000)])
    bits = seeds[:, None] >> np.arange(53) & 1
    assert (np.abs(bits.mean(axis=0) - 0.5) < 4.5 * 0.5 / math.sqrt(2000)).all()
