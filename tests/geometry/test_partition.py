"""The partition is exact: cells cover the plane, and points lie in the cells of their patterns."""

import numpy as np
import pytest

import statmech_bn as sbn
from statmech_bn.errors import InvalidSetup
from statmech_bn.geometry import Layer, ReluNetwork, folded_distances, partition, polygons

BOUNDS = np.array([[-2.0, 2.0], [-1.5, 2.5]])


def network(kind):
    """No bias: all first boundaries meet in a point; biases; BN; a section of a larger network."""
    data = np.random.default_rng(5).standard_normal((60, 8))
    if kind == "section":
        axes = np.linalg.qr(data[:2].T)[0].T
        larger = ReluNetwork.random((8, 12, 12), seed=3).with_batch_statistics(data)
        return larger.section(data[2], axes)
    plain = ReluNetwork.random((2, 10, 10, 10), seed=1, bias_scale=0.0 if kind == "none" else 0.5)
    return plain.with_batch_statistics(data[:, :2]) if kind == "batch" else plain


KINDS = ("none", "bias", "batch", "section")


@pytest.fixture(scope="module", params=KINDS)
def case(request):
    found = network(request.param)
    return found, partition(found, BOUNDS)


def area(polygon):
    x, y = polygon.T
    return 0.5 * np.sum(x * np.roll(y, -1) - y * np.roll(x, -1))


@pytest.mark.thorough
def test_every_point_of_a_fine_grid_lies_in_the_cell_of_its_pattern(case):
    net, found = case
    points = np.stack(np.meshgrid(*(np.linspace(*b, 301) for b in BOUNDS)), axis=-1).reshape(-1, 2)
    cells = {active.tobytes(): k for k, active in enumerate(found["active"].values)}
    corners = polygons(found)
    patterns, inverse = np.unique(net.pattern(points), axis=0, return_inverse=True)
    for k, pattern in enumerate(patterns):
        inside = points[inverse == k]
        if pattern.tobytes() not in cells:  # exactly on a boundary, where a field is 0 and not > 0
            fields = np.concatenate(net.fields(inside), axis=1)
            assert (abs(fields).min(axis=1) < 1e-12).all()
            continue
        polygon = corners[cells[pattern.tobytes()]]
        along = np.roll(polygon, -1, axis=0) - polygon
        away = inside[:, None, :] - polygon
        left = along[:, 0] * away[..., 1] - along[:, 1] * away[..., 0]
        assert (left > -1e-10).all()


def test_cells_cover_the_square_once(case):
    _, found = case
    areas = [area(polygon) for polygon in polygons(found)]
    assert min(areas) > 0
    assert sum(areas) == pytest.approx(16, rel=1e-12)
    patterns = found["active"].values
    assert len(np.unique(patterns, axis=0)) == len(patterns)


def test_segments_are_where_their_unit_is_zero(case):
    net, found = case
    before = np.cumsum([0, *net.units])
    unit = before[found["segment_layer"]] + found["segment_unit"].values
    for part in (0.0, 0.3, 0.7, 1.0):
        places = (1 - part) * found["segment"].values[:, 0] + part * found["segment"].values[:, 1]
        fields = np.concatenate(net.fields(places), axis=1)
        assert (abs(fields[np.arange(len(unit)), unit]) < 1e-9).all()
    assert found.sizes["cell"] == found.sizes["boundary"] + 1


def test_lines_in_general_position_cut_the_plane_into_the_known_number_of_cells():
    lines = 7
    angle = np.arange(lines) * np.pi / lines
    # tangents of a circle, no three of which meet
    layer = Layer(np.stack([np.cos(angle), np.sin(angle)], axis=1), -np.linspace(0.5, 0.7, lines))
    found = partition(ReluNetwork((layer,)), ((-100, 100), (-100, 100)))
    assert found.sizes["cell"] == 1 + lines + lines * (lines - 1) // 2


def test_batch_statistics_move_the_partition_with_the_data():
    data, move = np.random.default_rng(0).standard_normal((50, 2)), np.array([5.0, -3.0])
    plain = ReluNetwork.random((2, 8, 8), seed=4)
    here = partition(plain.with_batch_statistics(data), BOUNDS)
    there = partition(plain.with_batch_statistics(data + move), BOUNDS + move[:, None])
    np.testing.assert_array_equal(here["active"], there["active"])
    np.testing.assert_allclose(here["vertex"] + move, there["vertex"], atol=1e-10)


def test_a_partition_can_be_stored(case, tmp_path):
    _, found = case
    with sbn.open(sbn.save(found, tmp_path / "partition.zarr")) as stored:
        np.testing.assert_array_equal(stored["segment"], found["segment"])
        for first, second in zip(polygons(stored), polygons(found), strict=True):
            np.testing.assert_array_equal(first, second)
        assert stored.attrs["units"] == found.attrs["units"]


def test_no_boundary_at_all():
    found = partition(ReluNetwork((Layer(np.eye(2), np.full(2, 9.0)),)), ((-1, 1), (-1, 1)))
    assert found.sizes["cell"] == 1
    assert found["segment"].shape == (0, 2, 2)
    assert found["active"].values.all()


@pytest.mark.parametrize(
    ("widths", "bounds", "message"),
    [
        ((3, 4), ((-1, 1), (-1, 1)), "section"),
        ((2, 4), ((1, -1), (-1, 1)), "bounds"),
        ((2, 4), (-1, 1), "bounds"),
        ((2, 4), ((-1, np.inf), (-1, 1)), "bounds"),
    ],
)
def test_an_error_names_what_is_wrong(widths, bounds, message):
    with pytest.raises(InvalidSetup, match=message):
        partition(ReluNetwork.random(widths), bounds)


@pytest.mark.parametrize(
    "change",
    [
        lambda found: found.attrs.pop("units"),
        lambda found: found.attrs.update(units="8"),
        lambda found: found.attrs.update(units=[2]),
        lambda found: found["segment_layer"].values.fill(7),
        lambda found: found["segment_unit"].values.fill(-1),
        lambda found: found.update({"offset": found["offset"] + 0.5}),
        lambda found: found.update({"segment": found["segment_unit"]}),
    ],
)
def test_what_is_no_partition_is_refused(change):
    found = partition(ReluNetwork.random((2, 3), seed=1), [[-2, 2], [-2, 2]])
    change(found)
    for read in (polygons, lambda given: folded_distances(given, np.ones((2, 2)))):
        with pytest.raises(InvalidSetup, match="found"):
            read(found)
