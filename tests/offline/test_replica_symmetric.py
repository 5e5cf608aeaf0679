"""The proximal operator, averages over samples and solutions, against independent sources."""

import sys

import numpy as np
import pytest
import sympy as sp

import statmech_bn as sbn
from statmech_bn.activations import activation
from statmech_bn.codegen import numpy_function
from statmech_bn.errors import InvalidSetup
from statmech_bn.offline import replica_symmetric, ridge
from statmech_bn.offline.proximal import proximal

pytestmark = pytest.mark.thorough

module = sys.modules["statmech_bn.offline.replica_symmetric"]
X = sp.Symbol("x", real=True)
CLAMP = sp.Max(-sp.Rational(1, 2), sp.Min(X, 1))
SHAPES = ["relu", "erf", "softplus", sp.Abs(X), sp.Max(X, X / 10), CLAMP, sp.sin(2 * X)]


def sample(description, label_noise):
    return module._sample(activation(description), label_noise)


def relu_proximal(omega, y, v):
    """Branch by branch: z < 0 costs y²/2, z > 0 costs (y − ω)²/(2(1 + V)), and the kink pins."""
    linear = (omega + v * y) / (1 + v)
    jump = -y * (np.sqrt(1 + v) - 1)
    learned = np.where(omega > jump, linear, omega)
    ignored = np.where(omega < 0, omega, np.maximum(linear, 0))
    return np.where(y > 0, learned, ignored)


@pytest.mark.parametrize("description", SHAPES, ids=str)
def test_proximal_is_the_lowest_of_all_branches(description):
    """No point of a fine grid costs less; the minimum of that grid is as close as its spacing."""
    value = numpy_function([activation(description).expression], [sbn.activations.z])
    drawn = sample(description, 0.5)
    rng = np.random.default_rng(3)
    grid = np.linspace(-25, 25, 200_001)
    outputs = value(grid)[0]
    for _ in range(40):
        v, y, omega = np.exp(rng.uniform(-3, 4)), 1.5 * rng.normal(), 1.5 * rng.normal(size=4)
        found = proximal(drawn.compiled, drawn._table(60.0), y, v, omega)
        cost = (found - omega) ** 2 / (2 * v) + (y - value(found)[0]) ** 2 / 2
        others = (grid - omega[:, None]) ** 2 / (2 * v) + (y - outputs) ** 2 / 2
        excess = cost - others.min(axis=1)
        assert (excess < 1e-12).all()
        assert (excess > -1e-5).all()


def test_relu_proximal_is_known_by_branch():
    drawn = sample("relu", 0.5)
    rng = np.random.default_rng(4)
    for y in (1.3, 0.02, -0.4, -2.0):
        for v in (0.05, 1.0, 30.0):
            omega = 2 * rng.normal(size=50)
            found = proximal(drawn.compiled, drawn._table(60.0), y, v, omega)
            np.testing.assert_allclose(found, relu_proximal(omega, y, v), atol=1e-12)


def relu_draws(m, width, v, noise, count=2_000_000):
    """Draw f², f h* and f η by the closed proximal operator."""
    rng = np.random.default_rng(8)
    h, eta, xi = rng.standard_normal((3, count))
    omega = m * h + width * eta
    f = (relu_proximal(omega, np.maximum(h, 0) + noise * xi, v) - omega) / v
    return np.array([f * f, f * h, f * eta / width])


@pytest.mark.parametrize("state", [(0.9, 0.2, 0.3), (0.5, 0.5, 1.0), (0.1, 0.3, 9.0)])
def test_averages_over_relu_samples_equal_a_simulation(state):
    """Within 4 standard errors, below 1 % of the force's scale."""
    drawn = relu_draws(*state, 0.5)
    error = drawn.std(axis=1) / np.sqrt(drawn.shape[1])
    found = sample("relu", 0.5).averages(*state)
    np.testing.assert_array_less(np.abs(drawn.mean(axis=1) - found), 4 * error)
    assert (error < 0.01 * np.sqrt(drawn[0].mean())).all()


@pytest.mark.parametrize("label_noise", [0.0, 0.5])
@pytest.mark.parametrize("penalty", [1e-3, 0.3])
def test_linear_is_ridge_regression(penalty, label_noise):
    load = np.array([0.3, 0.97, 1.0, 1.5, 8.0])
    found = replica_symmetric("linear", load, penalty, label_noise)
    assert found.converged.all()
    np.testing.assert_allclose(
        found.generalization_error, ridge(load, penalty, label_noise), rtol=1e-6, atol=1e-9
    )


def test_linear_without_ridge_is_the_shortest_interpolation():
    found = replica_symmetric("linear", [0.5, 2.0], 0.0, 0.5)
    known = sbn.offline.least_squares([0.5, 2.0], 0.5)
    np.testing.assert_allclose(found.generalization_error, known, rtol=1e-6)


def test_a_noiseless_teacher_is_found():
    found = replica_symmetric("erf", [4.0], 0.0, 0.0)
    assert found.converged.all()
    assert float(found.generalization_error[0]) < 1e-12


def test_every_load_is_solved_by_itself():
    together = replica_symmetric("erf", [3.0, 0.5], 0.1, 0.3)
    alone = replica_symmetric("erf", 0.5, 0.1, 0.3)
    assert together.isel(load=[1]).identical(alone)


def test_solutions_fulfil_the_equations_of_simulated_averages():
    """m, q and V of a converged ReLU student, from 2 million draws, within 4 standard errors."""
    load, penalty = 2.0, 0.3
    found = replica_symmetric("relu", load, penalty, 0.5).isel(load=0)
    assert bool(found.converged)
    assert float(found.quadrature_error) < 1e-6
    m, q, v = (float(found[name]) for name in ("m", "q", "V"))
    width = np.sqrt(q - m**2)
    drawn = relu_draws(m, width, v, 0.5)
    square, teacher, slope = drawn.mean(axis=1)
    errors = load * v * drawn.std(axis=1) / np.sqrt(drawn.shape[1])
    v_hat, m_hat = -load * slope, load * (teacher - m * slope)
    assert abs(v * (penalty + v_hat) - 1) < 4 * errors[2]
    assert abs(v * m_hat - m) < 4 * (errors[1] + m * errors[2])
    assert abs(v**2 * (m_hat**2 + load * square) - q) < 4 * (2 * m * errors[1] + v * errors[0])


def test_where_it_does_not_converge_it_says_so(monkeypatch):
    monkeypatch.setattr(module, "MOST_ITERATIONS", 3)
    found = replica_symmetric("erf", [0.5, 3.0], 0.1, 0.3)
    assert not found.converged.any()
    assert (found.residual > module.TOLERANCE).all()
    assert found.attrs["warning"] == "not converged at load 0.5, 3"
    assert np.isfinite(found.generalization_error).all()


def test_the_start_chooses_among_solutions():
    """An even unit cannot tell w* from −w*; from either side it finds the nearer one."""
    found = [
        replica_symmetric(X**2 / 2, [5.0], 0.1, 0.3, start=sbn.OrderParameters(side * 0.9))
        for side in (-1, 1)
    ]
    overlaps = [float(solution.overlap[0]) for solution in found]
    assert overlaps[0] == pytest.approx(-overlaps[1], rel=1e-6)
    assert overlaps[1] > 0.9


def test_what_the_dataset_carries():
    found = replica_symmetric("erf", [2.0, 3.0], 0.1, 0.3)
    assert sbn.TeacherStudent.from_attrs(found.attrs).activation.name == "erf"
    assert found.attrs["ridge"] == 0.1
    assert "warning" not in found.attrs
    for name in ("generalization_error", "overlap", "length", "m", "q", "V", "load"):
        assert found[name].attrs["symbol"].startswith("$")
    np.testing.assert_allclose(found.length**2, found.q)
    np.testing.assert_allclose(found.overlap * found.length, found.m)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("erf", 0.0, 0.1, 0.3), "load"),
        (("erf", [[1.0]], 0.1, 0.3), "load"),
        (("erf", "one", 0.1, 0.3), "load"),
        (("erf", 1.0, -0.1, 0.3), "ridge"),
        (("erf", 1.0, 0.1, -0.3), "label_noise"),
        (("snake", 1.0, 0.1, 0.3), "activation"),
        (("erf", 1.0, 0.1, 0.3, sbn.OrderParameters(1.0)), "start"),
    ],
)
def test_refused(arguments, message):
    with pytest.raises(InvalidSetup, match=message):
        replica_symmetric(*arguments)


def test_warm_starts_follow_a_branch_in_fewer_steps():
    loads = np.linspace(2.0, 3.0, 6)
    cold = replica_symmetric("linear", loads, 0.1, 0.5)
    warm = replica_symmetric("linear", loads, 0.1, 0.5, warm_start=True)
    for name in ("m", "q", "V"):
        np.testing.assert_allclose(warm[name], cold[name], rtol=1e-7)
    assert warm.converged.all()
    assert warm.iterations[0] == cold.iterations[0]
    assert warm.iterations[1:].sum() < cold.iterations[1:].sum()
