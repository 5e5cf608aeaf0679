"""Averages of committees: three ways to the same numbers, and how far each may be off."""

import mpmath
import numpy as np
import pytest

from statmech_bn.activations import activation
from statmech_bn.averages import committee_groups
from statmech_bn.averages.choice import Quadrature
from statmech_bn.averages.committee_group_sums import Block, World, fill_block
from statmech_bn.averages.committee_groups import DRAWN, group_points, most_finer, over_groups
from statmech_bn.averages.committee_points import lattice_points, over_points, sobol_points
from statmech_bn.averages.orthants import orthant, product_average
from statmech_bn.online.flow.committee import CommitteeFlow, closed_system
from statmech_bn.online.flow.committee_rates import pack
from statmech_bn.online.flow.committee_trajectory import derivatives
from statmech_bn.teacher_student import TeacherStudent

pytestmark = pytest.mark.thorough

RHO = np.array([[0.3, 0.05], [0.02, 0.25]])
Q = np.array([[0.5, 0.05], [0.05, 0.6]])
GRAM = np.block([[np.eye(2), RHO.T], [RHO, Q]])
GAMMA, READOUT = np.array([0.9, 1.2]), np.array([0.8, 1.1])
OMEGA = np.concatenate([np.ones(2), -READOUT])


def closed(name, normalization="weight", noise=0.0):
    """Return F, N, P and E at M = 1."""
    setup = TeacherStudent(name, normalization, 1, noise, student_units=2, teacher_units=2)
    system = closed_system(setup)
    gamma = GAMMA if normalization == "weight" else np.ones(2)
    state = pack(RHO, Q, gamma, READOUT)
    derivatives(system, state, np.ones(3), np.empty(state.size))
    return system.averages


def mean_and_error(rules):
    """Return for each average the mean over rules and the standard error of its entries."""
    stacks = [np.array(part) for part in zip(*rules, strict=True)]
    return [(a.mean(axis=0), a.std(axis=0, ddof=1) / np.sqrt(len(a))) for a in stacks]


@pytest.mark.parametrize("r", [0.2, 0.9, 0.999])
def test_orthants_of_equal_correlations(r):
    """Four exchangeable fields share one: P = ∫ Φ(x√(r/(1−r)))⁴ φ(x) dx."""
    with mpmath.workdps(20):
        slope = mpmath.sqrt(mpmath.mpf(r) / (1 - mpmath.mpf(r)))
        known = mpmath.quad(
            lambda x: mpmath.ncdf(slope * x) ** 4 * mpmath.npdf(x), [-9, -1, -0.1, 0, 0.1, 1, 9]
        )
    matrix = np.full((4, 4), r) + (1 - r) * np.eye(4)
    assert orthant(matrix, 4) == pytest.approx(float(known), abs=1e-11)


@pytest.mark.parametrize("slopes", [(0.0, 1.0), (0.3, 1.0), (-1.0, 1.0)])
@pytest.mark.parametrize("members", [(0, 1, 2, 3), (0, 1, 0, 3), (0, 0, 1, 1), (2, 2, 2, 2)])
def test_products_of_piecewise_linear_units(slopes, members):
    """Against 10⁶ draws, within four standard errors."""
    left, right = slopes
    generator = np.random.default_rng(5)
    factor = generator.normal(size=(4, 5))
    covariance = factor @ factor.T / 4
    fields = generator.multivariate_normal(np.zeros(4), covariance, 10**6)[:, members]
    slope = np.where(fields > 0, right, left)
    drawn = slope.prod(axis=1) * fields[:, 2] * fields[:, 3]
    found = product_average(covariance[np.ix_(members, members)], left, right)
    assert abs(drawn.mean() - found) < 4 * drawn.std() / 1000


@pytest.mark.parametrize("normalization", ["none", "weight"])
def test_a_lattice_reproduces_closed_averages(normalization):
    rule = Quadrature.for_activation(activation("erf"))
    scales = GAMMA if normalization == "weight" else np.sqrt(np.diag(Q))
    points = lattice_points(4, 1.25)
    found = mean_and_error(over_points(rule.value_and_slope, points, GRAM, scales, OMEGA))
    known = closed("erf", normalization)
    for (mean, _), value in zip([found[0], found[1], *found[3:]], known, strict=True):
        np.testing.assert_allclose(mean, value, rtol=0, atol=1e-6 * np.abs(value).max())


def test_sobol_points_state_their_error():
    rule = Quadrature.for_activation(activation("relu"))
    found = mean_and_error(
        over_points(rule.value_and_slope, sobol_points(1, 4), GRAM, GAMMA, OMEGA)
    )
    known = closed("relu")
    assert np.linalg.norm(found[0][1]) < 5e-3 * np.linalg.norm(known.along)
    for (mean, error), value in zip([found[0], found[1]], known[:2], strict=True):
        assert np.linalg.norm(mean - value) < 4 * np.linalg.norm(error)


@pytest.mark.parametrize("name", ["erf", "relu"])
@pytest.mark.parametrize("group", [4, 5, 8, 40])
def test_batches_of_one_unit_are_those_of_its_own_theory(name, group):
    """`statmech_bn.averages.batch` integrates K = K* = 1 to 1e-6."""
    rule = Quadrature.for_activation(activation(name))
    overlap, length, gamma = 0.4, 1.3, 0.9
    gram = np.array([[1, overlap * length], [overlap * length, length**2]])
    points = group_points(group, 1, 2)
    rules = over_groups(rule, points, group, gram, np.array([gamma]), np.array([1.0, -1.0]))
    drive, pull, noise, of_labels = rule.batch_averages(overlap, gamma, group)
    unit = gamma / length
    known = unit * drive, unit**2 * noise / group, unit**2 * of_labels / group, pull
    found = mean_and_error(rules)
    for (mean, error), value in zip(found[:4], known, strict=True):
        assert abs(mean.flat[0] - value) < 5 * error.flat[0] + 1e-4 * abs(value)
        assert mean.flat[0] == pytest.approx(value, rel=1e-3)


@pytest.mark.parametrize("group", [4, 5, 9])
def test_weighted_groups_have_the_law_of_groups(group):
    """Gσ_k²/Q_kk is χ² with G − 1 degrees of freedom, and r² of uncorrelated units is 1/(G − 1)."""
    gram = GRAM.copy()
    gram[2, 3] = gram[3, 2] = 0.0
    world = World.of(gram, 2)
    rules = []
    for rule in group_points(group, 2, 4):
        size = 2 * len(rule.mean)
        shapes = (size, DRAWN, 4), (size, DRAWN, 4), (size, 2, 2), (size, 2), size
        block = Block(*(np.empty(shape) for shape in shapes))
        assert fill_block(group, rule, 0, world, GAMMA, block) == size
        squares = group * block.spread**2 / gram.diagonal()[2:]
        r = block.correlation[:, 0, 1]
        each = np.column_stack([np.ones(size), r**2, squares, 1 / squares])
        rules.append((block.weight @ each,))
    known = [1, 1 / (group - 1), *[group - 1] * 2, *[1 / (group - 3)] * 2]
    found = np.mean(rules, axis=(0, 1))
    np.testing.assert_allclose(found, known, rtol=6e-3)  # three standard errors


def test_memory_bounds_the_points_over_batches():
    bytes_of = [
        sum(part.nbytes for rule in group_points(9, 2, 4, finer) for part in rule)
        for finer in (0, 1)
    ]
    assert bytes_of[1] == 2 * bytes_of[0]
    most = bytes_of[0] * 2 ** most_finer(2, 4)
    assert committee_groups.MOST_BYTES / 2 < most <= committee_groups.MOST_BYTES
    assert most_finer(200, 400) == 0


def test_infinite_batches_are_weight_normalization(monkeypatch):
    """What learns is that of weight normalization; noise loses the part that P removes."""
    monkeypatch.setattr(committee_groups, "POWER", 13)
    rule = Quadrature.for_activation(activation("erf"))
    points = committee_groups.group_points.__wrapped__(10**7, 2, 4)
    along, _, _, pull, readout = mean_and_error(
        over_groups(rule, points, 10**7, GRAM, GAMMA, OMEGA)
    )
    known = closed("erf")
    turn = known.along[:, 2:].diagonal() / Q.diagonal()
    projected = known.along - turn[:, None] * GRAM[2:]
    np.testing.assert_allclose(along[0], projected, atol=2e-3)
    np.testing.assert_allclose(pull[0], known.pull, atol=1e-3)
    np.testing.assert_allclose(readout[0], known.readout, atol=1e-3)


def test_label_noise_enters_batches_as_drawn_labels_do():
    """N of a group of six with Δ, against 2·10⁵ drawn groups, within four standard errors."""
    group, noise = 6, 0.7
    rule = Quadrature.for_activation(activation("tanh"))
    points = group_points(group, 2, 4)
    sums = over_groups(rule, points, group, GRAM, GAMMA, OMEGA)
    found = np.mean([s.noise + noise**2 * s.of_labels for s in sums], axis=0)
    generator = np.random.default_rng(3)
    x = generator.normal(size=(200_000, group, 4)) @ np.linalg.cholesky(GRAM).T
    h = x[..., 2:]
    spread = h.std(axis=1, keepdims=True)
    u = (h - h.mean(axis=1, keepdims=True)) / spread
    output = np.tanh(GAMMA * u)
    label = np.tanh(x[..., :2]).sum(axis=-1) + noise * generator.normal(size=x.shape[:2])
    error = label - output @ READOUT
    delta = READOUT * (1 - output**2) * error[..., None]
    c = delta - delta.mean(axis=1, keepdims=True) - u * (delta * u).mean(axis=1, keepdims=True)
    c *= GAMMA / (group * spread)
    products = np.einsum("bmk,bml->bkl", c, c)
    deviation = products.std(axis=0) / np.sqrt(len(products))
    assert (np.abs(products.mean(axis=0) - found) < 4 * deviation + 5e-3 * np.abs(found)).all()
    along = np.einsum("bmk,bmj->bkj", c, x)
    deviation = along.std(axis=0) / np.sqrt(len(along))
    mean = np.mean([s.along for s in sums], axis=0)
    assert (np.abs(along.mean(axis=0) - mean) < 4 * deviation + 1e-3).all()


def test_every_setup_has_a_flow():
    """Kinks away from zero, many units, ghost batches: finite derivatives and a stated error."""
    import sympy as sp

    x = sp.Symbol("x")
    cases = [
        TeacherStudent(sp.Max(x, 1), "weight", 2, student_units=2, teacher_units=2),
        TeacherStudent("tanh", "none", 2, student_units=3, teacher_units=3),
        TeacherStudent("erf", "ghost(8)", 16, student_units=2, teacher_units=1),
    ]
    for setup in cases:
        units, teachers = setup.student_units, setup.teacher_units
        flow = CommitteeFlow(setup, 1.0)
        state = pack(np.full((units, teachers), 0.1), np.eye(units), np.ones(units), np.ones(units))
        assert np.isfinite(flow(state, np.ones(3))).all()
        assert 0 < flow.error < 0.02
