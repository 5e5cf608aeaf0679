"""Closed forms with a spectrum against direct solves, and against those of isotropic inputs."""

import numpy as np
import pytest
from scipy.special import gammaln

import statmech_bn as sbn
from statmech_bn.errors import InvalidSetup
from statmech_bn.offline import batch_normalized, least_squares, replica_symmetric, ridge

pytestmark = pytest.mark.thorough

N, RUNS, NOISE, GROWTH, SIZE = 400, 32, 0.5, 1.7, 10
LAMBDA = 1 / np.arange(1, N + 1)
LAMBDA /= LAMBDA.mean()
TEACHER = np.random.default_rng(1).standard_normal(N) * np.linspace(0.2, 2, N)
TEACHER *= np.sqrt(N) / np.linalg.norm(TEACHER)
SPECTRUM = sbn.Spectrum(LAMBDA, multiplicities=np.ones(N, int), teacher=TEACHER**2 / N)
SHRINKAGE = np.sqrt(2 / SIZE) * np.exp(gammaln(SIZE / 2) - gammaln((SIZE - 1) / 2))
HALVES = sbn.Spectrum([1, 1], fractions=[0.3, 0.7], teacher=[0.6, 0.4])
THREE = sbn.Spectrum([3, 1, 0.2], fractions=[0.2, 0.3, 0.5], teacher=[0.3, 0.4, 0.3])


def direct_errors(load, seed):
    """ε_g of ridge, least squares and batch normalization on one set of inputs of N = 400.

    The learned weights are linear in label noise and initial weights, whose means are exact.
    """
    rng = np.random.default_rng([5, seed])
    x = rng.standard_normal((int(load * N), N)) * np.sqrt(LAMBDA / N)
    _, values, right = np.linalg.svd(x, full_matrices=False)

    def error(shrunken, response, more=0.0):
        """Of weights `shrunken` w* + `response` ξ in the basis of the samples' span."""
        missed = right.T @ (shrunken * (right @ TEACHER)) - TEACHER
        noise = NOISE**2 * response**2 @ (right**2 @ LAMBDA)
        return 0.5 * (LAMBDA @ missed**2 + noise + more) / N

    penalized = values / (values**2 + 0.1)
    outside = 1 - (right**2).sum(axis=0)  # diagonal of the projector away from the span
    square = np.sum((right @ TEACHER) ** 2) + NOISE**2 * np.sum(values**-2)
    start = square / (GROWTH * N - outside.sum()) * (LAMBDA @ outside)
    return [
        error(penalized * values, penalized),
        error(np.ones(values.size), 1 / values),
        error(np.full(values.size, SHRINKAGE), SHRINKAGE / values, SHRINKAGE**2 * start),
    ]


@pytest.mark.parametrize("load", [0.3, 0.7, 1.5, 3.0])
def test_direct_solves(load):
    """λ_i ∝ 1/i, N = 400, 32 sets of inputs: within 4 standard errors + 4/N."""
    found = np.array([direct_errors(load, seed) for seed in range(RUNS)])
    known = np.array([
        ridge(load, 0.1, NOISE, SPECTRUM),
        least_squares(load, NOISE, SPECTRUM),
        batch_normalized(load, SIZE, NOISE, GROWTH, spectrum=SPECTRUM),
    ])  # fmt: skip
    error = found.std(axis=0, ddof=1) / np.sqrt(RUNS)
    assert (np.abs(found.mean(axis=0) - known) < 4 * error + 4 / N * known).all()
    assert (error < 0.02 * known).all()


NAMES = ("overlap", "length", "generalization_error")
LOADS = np.array([1e-12, 1e-3, 0.3, 0.9, 0.999, 1.0, 1.001, 1.5, 7.0, 1e3])[:, None]
NOISES = np.array([0.0, 0.5, 3.0])


@pytest.mark.parametrize("penalty", [0.0, 1e-8, 1e-3, 0.5, 100.0])
def test_ridge_of_equal_eigenvalues_is_the_old_result(penalty):
    np.testing.assert_allclose(
        ridge(LOADS, penalty, NOISES, HALVES), ridge(LOADS, penalty, NOISES), rtol=1e-12
    )


@pytest.mark.parametrize("uneven", [False, True])
@pytest.mark.parametrize("growth", [1.0, 1.5, np.inf])
def test_batch_normalization_of_equal_eigenvalues_is_the_old_result(growth, uneven):
    for size in (3, 8, np.inf):
        found, known = (
            batch_normalized(LOADS, size, NOISES, growth, uneven, spectrum)
            for spectrum in (HALVES, None)
        )
        np.testing.assert_allclose(found, known, rtol=1e-12)


def test_one_block_of_variance_one_is_the_old_result():
    spectrum = sbn.Spectrum([1.0], fractions=[1.0])
    np.testing.assert_array_equal(ridge(LOADS, 0.1, NOISES, spectrum), ridge(LOADS, 0.1, NOISES))
    np.testing.assert_array_equal(
        least_squares(LOADS, NOISES, spectrum), least_squares(LOADS, NOISES)
    )


def test_units_of_the_inputs():
    """Inputs c times larger are a ridge c² times smaller, and errors c² times larger."""
    c2 = 7.0
    scaled = sbn.Spectrum(c2 * THREE.eigenvalues, fractions=THREE.fractions, teacher=THREE.teacher)
    root = np.sqrt(c2)
    for load in (0.4, 1.0, 2.5):
        assert ridge(load, c2 * 0.2, root * 0.5, scaled) == pytest.approx(
            c2 * ridge(load, 0.2, 0.5, THREE), rel=1e-12
        )
        assert batch_normalized(load, 8, root * 0.5, 2.0, spectrum=scaled) == pytest.approx(
            c2 * batch_normalized(load, 8, 0.5, 2.0, spectrum=THREE), rel=1e-12
        )


@pytest.mark.filterwarnings("ignore:teacher")
def test_directions_without_variance_count_for_nothing():
    """Half of the directions vary: N/2 dimensions, at twice the load, of half the teacher."""
    half = sbn.Spectrum([1.0, 0.0], fractions=[0.5, 0.5])
    load = np.array([0.2, 0.7, 3.0])
    noise = 0.5 * np.sqrt(2)  # in units of the teacher's field, of variance 1/2
    np.testing.assert_allclose(
        least_squares(load, 0.5, half), 0.5 * least_squares(2 * load, noise), rtol=1e-12
    )
    above = batch_normalized(load[1:], 8, 0.5, uneven_weights=True, spectrum=half)
    known = batch_normalized(2 * load[1:], 8, noise, uneven_weights=True)
    np.testing.assert_allclose(above, 0.5 * known, rtol=1e-12)
    assert least_squares(0.5, 0.5, half) == np.inf
    assert least_squares(0.5, 0.0, half) == 0


def test_limits():
    assert ridge(2.0, 1e90, 0.5, THREE) == pytest.approx(0.5 * THREE.teacher_variance)
    assert ridge(1e-12, 0.1, 0.5, THREE) == pytest.approx(0.5 * THREE.teacher_variance)
    near = [batch_normalized(a, 10, 0.0, 2.0, spectrum=THREE) for a in (1 - 1e-9, 1.0, 1 + 1e-9)]
    np.testing.assert_allclose(near, near[1], rtol=1e-6)
    for load in (0.3, 0.9, 1.5, 7.0):
        known = least_squares(load, NOISES, THREE)
        np.testing.assert_allclose(ridge(load, 1e-14, NOISES, THREE), known, rtol=1e-10, atol=1e-25)
    many = batch_normalized(0.5, np.inf, 0.5, np.inf, spectrum=THREE)
    assert many == pytest.approx(least_squares(0.5, 0.5, THREE), rel=1e-12)


def test_least_squares_of_many_samples_does_not_see_the_eigenvalues():
    np.testing.assert_allclose(
        least_squares([1.5, 4.0], 0.5, THREE), least_squares([1.5, 4.0], 0.5), rtol=1e-12
    )


def test_replica_symmetric_linear_is_ridge_regression():
    load = [0.5, 1.5]
    found = replica_symmetric("linear", load, 0.1, 0.5, spectrum=THREE)
    assert found.converged.all()
    known = ridge(load, 0.1, 0.5, THREE)
    np.testing.assert_allclose(found.generalization_error, known, rtol=1e-6)
    rho, q = found["block_student_teacher"].values, found["block_student_student"].values
    np.testing.assert_allclose(found.overlap, THREE.field_cosine(rho, q), rtol=1e-7)
    np.testing.assert_allclose(found.m, rho @ THREE.eigenvalues, rtol=1e-7)
    np.testing.assert_allclose(found.q, q @ THREE.eigenvalues, rtol=1e-7)
    error = 0.5 * (THREE.eigenvalues @ (q - 2 * rho).T + THREE.teacher_variance)
    np.testing.assert_allclose(error, known, rtol=1e-6)
    assert sbn.Spectrum.from_attrs(found.attrs) == THREE


def test_replica_symmetric_of_equal_eigenvalues_is_the_old_result():
    found, known = (replica_symmetric("relu", 2.0, 0.3, 0.5, spectrum=s) for s in (HALVES, None))
    for name in ("m", "q", "V", "overlap"):
        np.testing.assert_allclose(found[name], known[name], rtol=1e-12)
    np.testing.assert_allclose(found.generalization_error, known.generalization_error, rtol=1e-7)


@pytest.mark.slow
def test_replica_symmetric_erf_is_found_by_descent():
    """N = 300, α = 6, ridge 0.3, erf, 8 training sets: within 4 standard errors + 2 %."""
    from scipy.optimize import minimize
    from scipy.special import erf

    n, load, penalty = 300, 6.0, 0.3
    counts = THREE.counts(n)
    values = np.repeat(THREE.eigenvalues, counts)
    teacher = np.repeat(np.sqrt(THREE.teacher * n / counts), counts)
    known = replica_symmetric("erf", load, penalty, 0.3, spectrum=THREE)
    assert known.converged.all()
    inputs = sbn.Spectrum(THREE.eigenvalues, multiplicities=counts)
    setup, found = sbn.TeacherStudent("erf", "none", 1), []
    for seed in range(8):
        rng = np.random.default_rng([9, seed])
        x = rng.standard_normal((int(load * n), n)) * np.sqrt(values / n)
        y = erf(x @ teacher / np.sqrt(2)) + 0.3 * rng.standard_normal(len(x))

        def cost(v, x=x, y=y):
            h = x @ v
            error = erf(h / np.sqrt(2)) - y
            slope = np.sqrt(2 / np.pi) * np.exp(-h * h / 2)
            return 0.5 * error @ error + 0.5 * penalty * v @ v, x.T @ (error * slope) + penalty * v

        v = minimize(cost, 0.5 * teacher, jac=True, method="L-BFGS-B", options={"maxiter": 3000}).x
        weights = sbn.measure(v, teacher, inputs=inputs, setup=setup)
        found.append([weights[name].item() for name in NAMES])
    mean, error = np.mean(found, axis=0), np.std(found, axis=0) / np.sqrt(8)
    expected = [known[name].item() for name in NAMES]
    assert (np.abs(mean - expected) < 4 * error + 0.02 * np.abs(expected)).all()


@pytest.mark.slow
@pytest.mark.parametrize(("load", "rate", "epochs"), [(0.5, 1.0, 1000), (2.0, 0.1, 600)])
def test_training_with_batch_normalization(load, rate, epochs):
    """`offline.train` on inputs of two variances; within 3 standard errors + 5 % for η and 1/M²."""
    n = 120
    variances = np.repeat([2.0, 0.5], [n // 3, n - n // 3])
    spectrum = sbn.Spectrum([2.0, 0.5], multiplicities=[n // 3, n - n // 3])

    def draw(generator, samples, dimension):
        return generator.standard_normal((samples, dimension)) * np.sqrt(variances)

    inputs = sbn.Inputs(draw, mean=np.zeros(n), covariance=variances)
    setup = sbn.TeacherStudent("linear", "batch", SIZE, label_noise=NOISE)
    run = sbn.offline.train(setup, load, rate, n, 8, epochs, 1, inputs=inputs)
    run = run.isel(load=0, learning_rate=0)
    growth = np.maximum(run["growth"].values, 1.0)
    known = batch_normalized(load, SIZE, NOISE, growth, spectrum=spectrum)
    difference = run["generalization_error"].values - known
    error = difference.std() / np.sqrt(difference.size)
    assert abs(difference.mean()) < 3 * error + 0.05 * known.mean()


@pytest.mark.parametrize(
    "call",
    [
        lambda: ridge(1.0, 0.1, 0.5, [3, 1]),
        lambda: least_squares(1.0, 0.5, "power law"),
        lambda: batch_normalized(1.0, 8, 0.5, spectrum=np.eye(3)),
        lambda: replica_symmetric("linear", 1.0, 0.1, 0.5, spectrum=[1.0]),
    ],
)
def test_refused(call):
    with pytest.raises(InvalidSetup, match=r"spectrum.*Spectrum"):
        call()
