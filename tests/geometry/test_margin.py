"""The classifier's gradient against differences, its learning, and its margins."""

import numpy as np
import pytest

from statmech_bn.errors import InvalidSetup
from statmech_bn.geometry import Layer, ReluNetwork, margins, point_cloud, train_classifier
from statmech_bn.geometry.margin import _gradients, _start
from statmech_bn.layers import batch_norm_forward


@pytest.fixture(scope="module")
def moons():
    return point_cloud("moons", 120, seed=1)


def loss(parameters, x, y, rows, whole):
    """Mean loss over the rows of one replica, written out."""
    values = x if whole else x[rows]
    for k in range(0, len(parameters) - 2, 3):
        weights, gamma, beta = parameters[k : k + 3]
        values = np.maximum(batch_norm_forward(values @ weights.T, gamma, beta, 1e-5)[0], 0)
    output = (values @ parameters[-2].T + parameters[-1])[:, 0]
    output, targets = (output[rows], y[rows]) if whole else (output, y[rows])
    return np.log1p(np.exp(-targets * output)).mean()


@pytest.mark.parametrize("whole", [False, True])
def test_the_gradient_is_that_of_the_loss(moons, whole):
    x, y = moons[0][::4], moons[1][::4]
    networks = [_start((2, 4, 3), 0, replica) for replica in range(2)]
    rows = np.stack([np.random.default_rng(r).permutation(len(x))[:6] for r in range(2)])
    stacked = [np.stack(values) for values in zip(*networks, strict=True)]
    found = _gradients(stacked, x, y, rows, whole)
    for r, parameters in enumerate(networks):
        for k, values in enumerate(parameters):
            for index in np.ndindex(values.shape):
                sides = []
                for step in (1e-6, -1e-6):
                    moved = [v.copy() for v in parameters]
                    moved[k][index] += step
                    sides.append(loss(moved, x, y, rows[r], whole))
                expected = (sides[0] - sides[1]) / 2e-6
                assert found[k][r][index] == pytest.approx(expected, abs=1e-8)


def test_a_full_batch_has_the_statistics_of_the_set(moons):
    x, y = moons
    settings = {"widths": (6,), "steps": 20, "replicas": 2, "seed": 3}
    first, second = (
        train_classifier(x, y, 120, statistics, **settings) for statistics in ("batch", "set")
    )
    for a, b in zip(first, second, strict=True):
        np.testing.assert_allclose(a.fields(x)[-1], b.fields(x)[-1], atol=1e-8)


def test_replicas_do_not_depend_on_their_number(moons):
    x, y = moons
    settings = {"widths": (6,), "steps": 10, "seed": 3}
    [alone] = train_classifier(x, y, 8, replicas=1, **settings)
    first, other = train_classifier(x, y, 8, replicas=2, **settings)
    np.testing.assert_allclose(alone.fields(x)[-1], first.fields(x)[-1], rtol=1e-10)
    assert abs(first.fields(x)[-1] - other.fields(x)[-1]).max() > 0.01


def test_it_learns_and_its_margins_are_positive_where_it_is_right(moons):
    x, y = moons
    [network] = train_classifier(x, y, 16, replicas=1, steps=400, learning_rate=0.3)
    right = np.sign(network.fields(x)[-1][:, 0]) == y
    assert right.mean() > 0.97
    np.testing.assert_array_equal(margins(network, x, y) > 0, right)


def test_the_margin_of_a_straight_decision_is_known():
    points, labels = np.array([[1.0, 2.0], [-3.0, 0.0], [0.5, -1.0]]), np.array([1, 1, -1])
    network = ReluNetwork((Layer(np.array([[2.0, 0.0]]), np.zeros(1)),))
    np.testing.assert_allclose(margins(network, points, labels), [1, -3, -0.5])


@pytest.mark.parametrize("name", ["moons", "ring", "blobs"])
def test_clouds_are_centred_and_of_unit_spread(name):
    points, labels = point_cloud(name, 300, seed=2)
    np.testing.assert_allclose(points.mean(axis=0), 0, atol=1e-12)
    assert (points**2).sum(axis=1).mean() == pytest.approx(2)
    assert abs(labels.sum()) == 0
    assert (point_cloud(name, 300, seed=3)[0] != points).all()


ARGUMENTS = {"points": np.eye(4)[:, :2] + 0.1, "labels": np.array([1, 1, -1, -1]), "batch_size": 2}
WRONG = {
    "points": {"points": np.ones(4)},
    "labels": {"labels": np.array([0, 1, 1, 1])},
    "batch_size": {"batch_size": 5},
    "statistics": {"statistics": "none"},
    "learning_rate": {"learning_rate": -1.0},
    "widths": {"widths": (1,)},
}


@pytest.mark.parametrize("name", WRONG)
def test_an_error_names_what_is_wrong(name):
    with pytest.raises(InvalidSetup, match=name):
        train_classifier(**{**ARGUMENTS, **WRONG[name]})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(("sun", 20), "name"), (("moons", 5), "samples"), (("ring", 20, 0, -1.0), "noise")],
)
def test_a_cloud_is_checked(arguments, message):
    with pytest.raises(InvalidSetup, match=message):
        point_cloud(*arguments)
