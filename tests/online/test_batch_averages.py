"""Batch averages against closed forms, simulation, an independent quadrature and a finer rule."""

import math
from itertools import product

import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import solve_ivp
from scipy.special import erf, ndtr

from statmech_bn.averages.batch import batch_averages, batch_averages_kernel
from statmech_bn.averages.batch_quadrature import batch_rule
from statmech_bn.errors import InvalidSetup

pytestmark = pytest.mark.thorough

ARRAY = numba.types.float64[::1]
SIGNATURE = numba.types.void(ARRAY, ARRAY, ARRAY)


@numba.cfunc(SIGNATURE)
def _linear(x, value, derivative):
    for i in range(x.size):
        value[i], derivative[i] = x[i], 1.0


@numba.cfunc(SIGNATURE)
def _relu(x, value, derivative):
    for i in range(x.size):
        value[i], derivative[i] = max(x[i], 0.0), 1.0 if x[i] > 0 else 0.0


@numba.cfunc(SIGNATURE)
def _scaled_and_shifted_relu(x, value, derivative):
    for i in range(x.size):
        value[i], derivative[i] = 3 * max(x[i], 0.0) - 2, 3.0 if x[i] > 0 else 0.0


@numba.cfunc(SIGNATURE)
def _clamp(x, value, derivative):
    for i in range(x.size):
        value[i] = max(-0.5, min(x[i], 1.0))
        derivative[i] = 1.0 if -0.5 < x[i] < 1 else 0.0


@numba.cfunc(SIGNATURE)
def _hard_tanh(x, value, derivative):
    for i in range(x.size):
        value[i], derivative[i] = max(-1.0, min(x[i], 1.0)), 1.0 if abs(x[i]) < 1 else 0.0


@numba.cfunc(SIGNATURE)
def _tanh(x, value, derivative):
    for i in range(x.size):
        value[i] = math.tanh(x[i])
        derivative[i] = 1 - value[i] ** 2


@numba.cfunc(SIGNATURE)
def _erf(x, value, derivative):
    for i in range(x.size):
        value[i] = math.erf(x[i] / math.sqrt(2))
        derivative[i] = math.sqrt(2 / math.pi) * math.exp(-x[i] * x[i] / 2)


@numba.cfunc(SIGNATURE)
def _kinked_and_curved(x, value, derivative):
    for i in range(x.size):
        value[i], derivative[i] = math.sin(x[i]), math.cos(x[i])
        if x[i] > 0:
            value[i], derivative[i] = (0.3 * x[i] + 0.5) * x[i], 0.6 * x[i] + 0.5


@numba.cfunc(SIGNATURE)
def _even(x, value, derivative):
    for i in range(x.size):
        value[i], derivative[i] = max(abs(x[i]), 0.4), 0.0
        if abs(x[i]) > 0.4:
            derivative[i] = math.copysign(1.0, x[i])


ACTIVATIONS = {
    "linear": (_linear, []),
    "relu": (_relu, [0.0]),
    "scaled and shifted relu": (_scaled_and_shifted_relu, [0.0]),
    "clamp": (_clamp, [-0.5, 1.0]),
    "hard tanh": (_hard_tanh, [-1.0, 1.0]),
    "tanh": (_tanh, []),
    "erf": (_erf, []),
    "even": (_even, [-0.4, 0.4]),
}
IN_NUMPY = {
    "relu": lambda x: (np.maximum(x, 0), np.where(x > 0, 1.0, 0.0)),
    "clamp": lambda x: (np.clip(x, -0.5, 1), np.where((x > -0.5) & (x < 1), 1.0, 0.0)),
    "tanh": lambda x: (np.tanh(x), 1 - np.tanh(x) ** 2),
    "erf": lambda x: (erf(x / np.sqrt(2)), np.sqrt(2 / np.pi) * np.exp(-x * x / 2)),
}


def averages(name, overlap, gamma, batch_size, refinement=1.0):
    return np.array(batch_averages(*ACTIVATIONS[name], overlap, gamma, batch_size, refinement))


@given(
    overlap=st.floats(-0.999, 0.9999),
    gamma=st.floats(-3, 3),
    size=st.sampled_from([4, 5, 6, 7, 8, 13, 32, 100, 256, 1024]),
)
def test_linear_activation_has_a_closed_form(overlap, gamma, size):
    gammas = math.lgamma((size - 2) / 2) - math.lgamma((size - 1) / 2)
    inverse_deviation = math.sqrt(size / 2) * math.exp(gammas)  # E[1/s]
    gammas = math.lgamma(size / 2) - math.lgamma((size - 1) / 2)
    mean_deviation = math.sqrt(2 / size) * math.exp(gammas)  # E[s]
    factor = (size - 2) / (size - 3)
    fresh = 1 - overlap**2
    exact = [fresh * (size - 2) * inverse_deviation / size]
    exact += [mean_deviation * overlap - gamma, fresh * factor, factor]
    found = averages("linear", overlap, gamma, size)
    assert found == pytest.approx(exact, rel=1e-8, abs=1e-10)


def test_large_batches_approach_the_weight_normalized_student():
    overlap, gamma = 0.6, 0.5
    angle = math.pi - math.acos(overlap)
    root = math.sqrt(1 - overlap**2)
    first = (root + overlap * angle) / (2 * math.pi)
    second = (angle + overlap * root) / (2 * math.pi)
    pull = first - gamma / 2
    mean = ((1 + overlap) / 2 - gamma) / math.sqrt(2 * math.pi)  # E[δ]
    noise = second - 2 * gamma * first + gamma**2 / 2 - mean**2 - pull**2
    limit = np.array([root**2 * angle / (2 * math.pi), pull, noise, 0.5])
    coarse, fine = (averages("relu", overlap, gamma, size) for size in (256, 1024))
    assert np.all(np.abs(fine - limit) < 5 / 1024)
    assert (4 * fine - coarse) / 3 == pytest.approx(limit, abs=5e-5)  # 1/M cancels


def step_of_a_batch(name, overlap, gamma, label_noise, student, deviation, rng):
    """Means and standard errors of drive, pull and noise over batches of given û and s."""
    g = IN_NUMPY[name]
    batches, size = student.shape
    mean = rng.normal(size=(batches, 1)) / math.sqrt(size)
    fresh = rng.normal(size=student.shape)
    teacher = overlap * (mean + deviation * student) + math.sqrt(1 - overlap**2) * fresh
    output, slope = g(gamma * student)
    delta = slope * (g(teacher)[0] + label_noise * rng.normal(size=student.shape) - output)
    scaled = delta - delta.mean(1, keepdims=True)
    scaled -= student * (delta * student).mean(1, keepdims=True)  # M s c_m / γ
    drive = math.sqrt(1 - overlap**2) * (scaled * fresh).sum(1) / size
    return drive, (delta * student).mean(1), (scaled**2).sum(1) / size


@pytest.mark.parametrize(
    ("name", "overlap", "gamma", "size"),
    [
        ("relu", 0.6, 0.8, 4),
        ("tanh", -0.4, 1.5, 4),
        ("clamp", 0.95, -0.7, 5),
        ("erf", 0.5, 0.9, 8),
        ("clamp", 0.3, 1.2, 8),
        ("relu", 0.9, 0.5, 32),
    ],
)
def test_one_step_of_the_chain(name, overlap, gamma, size):
    label_noise, batches = 0.4, 1_600_000 // size
    rng = np.random.default_rng(20)
    fields = rng.normal(size=(batches, size))
    student = fields - fields.mean(1, keepdims=True)
    student /= np.sqrt((student**2).mean(1, keepdims=True))
    # Drawn from its law weighted by 1/s², as the variance of 1/s² itself is infinite for M < 6.
    deviation = np.sqrt(rng.chisquare(size - 3, size=(batches, 1)) / size)
    samples = step_of_a_batch(name, overlap, gamma, label_noise, student, deviation, rng)
    powers = deviation[:, 0] ** np.array([1, 2, 0])[:, None]
    samples = np.array(samples) * powers * size / (size - 3)
    drive, pull, noise, factor = averages(name, overlap, gamma, size)
    exact = np.array([drive, pull, noise + label_noise**2 * factor])
    errors = samples.std(1) / math.sqrt(batches)
    assert np.all(np.abs(samples.mean(1) - exact) < 4 * errors)
    assert np.all(errors < 0.01)


def test_one_step_of_the_chain_without_reweighting():
    name, overlap, gamma, size, label_noise, batches = "clamp", 0.7, 0.9, 12, 0.3, 200_000
    rng = np.random.default_rng(3)
    u, v = rng.normal(size=(2, batches, size))
    deviation = u.std(1, keepdims=True)
    student = (u - u.mean(1, keepdims=True)) / deviation
    g = IN_NUMPY[name]
    output, slope = g(gamma * student)
    label = g(overlap * u + math.sqrt(1 - overlap**2) * v)[0]
    delta = slope * (label + label_noise * rng.normal(size=u.shape) - output)
    tilt = (delta * student).mean(1, keepdims=True)
    change = gamma / (size * deviation) * (delta - delta.mean(1, keepdims=True) - student * tilt)
    samples = np.array(
        [math.sqrt(1 - overlap**2) * (change * v).sum(1), tilt[:, 0], (change**2).sum(1)]
    )
    drive, pull, noise, factor = averages(name, overlap, gamma, size)
    exact = [gamma * drive, pull, gamma**2 * (noise + label_noise**2 * factor) / size]
    errors = samples.std(1) / math.sqrt(batches)
    assert np.all(np.abs(samples.mean(1) - exact) < 4 * errors)


def clamp_moments(mean, blur, low, high):
    """E[g], E[g'] and E[g²] of g = max(low, min(h, high)) for h ~ N(mean, blur²)."""
    left, right = (low - mean) / blur, (high - mean) / blur
    bump = [np.exp(-x * x / 2) / math.sqrt(2 * math.pi) for x in (left, right)]
    below, above = ndtr(left), ndtr(-right)
    between = 1 - below - above
    first = mean * between + blur * (bump[0] - bump[1])
    second = (mean**2 + blur**2) * between
    second += blur * ((mean + low) * bump[0] - (mean + high) * bump[1])
    return (
        low * below + high * above + first,
        between,
        low**2 * below + high**2 * above + second,
    )


def cubic_panels(ends, count):
    """Nodes and weights on panels along the first axis, exact for square roots at their ends."""
    t, weight = np.polynomial.legendre.leggauss(count)
    t, weight = t * (3 - t * t) / 2, 1.5 * (1 - t * t) * weight
    half, middle = np.diff(ends, axis=0) / 2, (ends[1:] + ends[:-1]) / 2
    nodes = middle[..., None] + half[..., None] * t
    weights = half[..., None] * weight
    return np.moveaxis(nodes, -1, 1), np.moveaxis(weights, -1, 1)


def four_samples(overlap, gamma, low, high):
    """All averages at M = 4 by nested quadrature, for g = max(low, min(h, high)).

    There b₁ is uniform, and b₂ = −b₁/3 + (√8/3) √(1−b₁²) cos ψ with ψ uniform.
    """
    kinks = np.array([low, high]) / gamma / math.sqrt(3)
    kinks = kinks[np.abs(kinks) < 1]
    apart = math.acos(-1 / 3)
    touching = np.cos(np.concatenate([np.arccos(kinks) + apart, np.arccos(kinks) - apart]))
    ends = np.sort(np.concatenate([[-1.0, 1.0], kinks, touching]))
    b1, weight1 = (x.ravel() for x in cubic_panels(ends, 16))
    weight1 = weight1 / 2
    radius = math.sqrt(8) / 3 * np.sqrt(1 - b1**2)
    crossing = np.arccos(np.clip((kinks[:, None] + b1 / 3) / radius, -1, 1))
    ends = np.sort(np.concatenate([[0 * b1], crossing, [0 * b1 + math.pi]]), axis=0)
    angle, weight2 = (x.reshape(-1, b1.size) for x in cubic_panels(ends, 16))
    student1 = math.sqrt(3) * b1
    student2 = math.sqrt(3) * (radius * np.cos(angle) - b1 / 3)
    pair_weight = weight1 * weight2 / math.pi * (1 + student1 * student2)

    def error_and_slope(student, first):
        field = gamma * student
        return first - np.clip(field, low, high), np.where((field > low) & (field < high), 1.0, 0)

    nodes, weights = np.polynomial.legendre.leggauss(36)
    deviations = 1.75 * (1 + nodes)
    law = 1.75 * weights * deviations**2 * np.exp(-2 * deviations**2) * 16 / math.sqrt(2 * math.pi)
    means, mean_weights = np.polynomial.hermite_e.hermegauss(20)
    mean_weights = mean_weights / math.sqrt(2 * math.pi)
    blur = math.sqrt(1 - overlap**2)
    projector = 1 - (1 + student1**2) / 4
    total = np.zeros(4)
    for s, weight_s in zip(deviations, law, strict=True):
        for mean, weight_mean in zip(means / 2, mean_weights, strict=True):
            first, derivative, second = clamp_moments(
                overlap * (mean + s * student1), blur, low, high
            )
            error, slope = error_and_slope(student1, first)
            square = slope**2 * (second - first**2 + error**2)
            other = clamp_moments(overlap * (mean + s * student2), blur, low, high)[0]
            error2, slope2 = error_and_slope(student2, other)
            pair = (pair_weight * slope * error * slope2 * error2).sum()
            sums = [
                blur**2 * (weight1 * projector * slope * derivative).sum() / s,
                (weight1 * slope * student1 * error).sum(),
                ((weight1 * projector * square).sum() - 0.75 * pair) / s**2,
                (weight1 * projector * slope**2).sum() / s**2,
            ]
            total += weight_s * weight_mean * np.array(sums)
    return total


@pytest.mark.parametrize(
    ("name", "low", "high", "overlap", "gamma"),
    [
        ("relu", 0.0, 60.0, 0.8, 0.7),
        ("clamp", -0.5, 1.0, 0.75, 0.8),
        # Both samples reach the kinks only at one point, where the series converges slowest.
        ("hard tanh", -1.0, 1.0, 0.8, 1.0),
    ],
)
def test_nested_quadrature_over_pairs_of_four_samples(name, low, high, overlap, gamma):
    exact = four_samples(overlap, gamma, low, high)
    assert averages(name, overlap, gamma, 4) == pytest.approx(exact, rel=1e-6)


@pytest.mark.parametrize("size", [4, 5, 8, 32, 256])
@pytest.mark.parametrize("name", ["relu", "clamp", "hard tanh", "erf", "tanh"])
def test_a_finer_rule_changes_nothing(name, size):
    for overlap, gamma in product([-0.7, 0.3, 0.9, 0.999], [0.01, 0.6, 1.5]):
        found = averages(name, overlap, gamma, size)
        drive, pull, noise, factor = finer = averages(name, overlap, gamma, size, 1.6)
        sharp = size < 8 and overlap > 0.99 and ACTIVATIONS[name][1]
        scale = [drive, abs(pull) + 0.01, noise + (0.01 * factor if sharp else 0.0), factor]
        assert np.all(np.abs(found - finer) < (3e-6 if sharp else 1e-6) * np.array(scale))


def test_smooth_averages_are_accurate_to_1e_8():
    for name, size, overlap in product(["erf", "tanh"], [4, 8, 32, 256], [-0.5, 0.9]):
        for gamma in (0.3, 1.0, 2.5):
            finer = averages(name, overlap, gamma, size, 1.6)
            assert averages(name, overlap, gamma, size) == pytest.approx(finer, rel=3e-8)


@given(
    name=st.sampled_from(["relu", "clamp", "tanh"]),
    overlap=st.floats(-1, 1),
    gamma=st.floats(-2, 2).filter(lambda gamma: abs(gamma) > 1e-6),
    size=st.sampled_from([4, 9, 40]),
)
def test_reflecting_the_student_flips_the_pull_alone(name, overlap, gamma, size):
    # (u, û) → −(u, û) maps (R, γ) to (−R, −γ): φ = γû and the law of h* given u stay.
    mirrored = averages(name, -overlap, -gamma, size) * [1, -1, 1, 1]
    assert averages(name, overlap, gamma, size) == pytest.approx(mirrored, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("overlap", [0.4, 0.97])
def test_reflecting_the_teacher_of_an_even_activation_flips_the_drive_alone(overlap):
    mirrored = averages("even", -overlap, 0.8, 8) * [-1, 1, 1, 1]
    assert averages("even", overlap, 0.8, 8) == pytest.approx(mirrored, rel=1e-9, abs=1e-10)


def test_scale_and_offset_of_the_activation():
    changed = averages("scaled and shifted relu", 0.7, 0.9, 6)
    # All contain two factors g or g', the noise four.
    exact = averages("relu", 0.7, 0.9, 6) * [9, 9, 81, 9]
    assert changed == pytest.approx(exact, rel=1e-8)


@pytest.mark.parametrize("name", ["relu", "hard tanh", "tanh"])
@pytest.mark.parametrize("size", [4, 9])
def test_extreme_states_are_finite(name, size):
    for overlap, gamma in product([-1.0, 0.0, 1.0], [-1.0, 0.0, 1e-12, 1.0, 100.0]):
        found = averages(name, overlap, gamma, size)
        assert np.isfinite(found).all()
        assert found[2] > -1e-9
        assert found[3] >= 0
        if abs(overlap) == 1:
            assert found[0] == 0
    assert averages(name, 1 + 1e-9, 0.5, size) == pytest.approx(averages(name, 1, 0.5, size))


def test_a_curved_activation_with_a_kink_at_the_method_switch():
    # R ū takes a Gauss–Hermite rule on one side, panels on the other.
    size, switch = 8, math.sqrt(1 / (1 + (1 / 0.6 - 1) / 8))
    below, above = (
        batch_averages(_kinked_and_curved, [0.0], switch + shift, 0.8, size)
        for shift in (-1e-10, 1e-10)
    )
    assert below == pytest.approx(above, rel=1e-7)


def test_flow_of_the_linear_student():
    """As the exact chain at N = 20000 gave for M = 8, Δ = 0.5, η = 2 and η_γ = 1."""
    size, label_noise, rate = 8, 0.5, 2.0

    def flow(_, state):
        along, square, gamma = state
        length = math.sqrt(square)
        drive, pull, noise, factor = averages("linear", along / length, gamma, size)
        noise += label_noise**2 * factor
        growth = rate**2 * gamma**2 * noise / (size * square)
        return [rate * gamma * drive / length, growth, pull]

    path = solve_ivp(flow, (0, 5), [0.05, 1.0, 0.5], t_eval=[1, 2, 5], rtol=1e-7, atol=1e-9).y
    length = np.sqrt(path[1])
    assert path[0] / length == pytest.approx([0.6270, 0.8974, 0.9858], abs=6e-5)
    assert length == pytest.approx([1.0523, 1.0920, 1.2046], abs=6e-5)
    assert path[2] == pytest.approx([0.4249, 0.6156, 0.8722], abs=6e-5)


def test_compiled_callers_use_the_kernel():
    @numba.njit
    def pulls(activation, kinks, gammas, rule):
        found = np.empty(gammas.size)
        for i in range(gammas.size):
            found[i] = batch_averages_kernel(activation, kinks, 0.5, gammas[i], rule)[1]
        return found

    for name in ("relu", "tanh"):
        activation, kinks = ACTIVATIONS[name]
        found = pulls(activation, np.array(kinks), np.array([0.3, 1.1]), batch_rule(8))
        assert found[1] == averages(name, 0.5, 1.1, 8)[1]
    assert len(pulls.signatures) == 1


@pytest.mark.parametrize(
    ("change", "argument"),
    [
        ({"batch_size": 3}, "batch_size"),
        ({"batch_size": 8.5}, "batch_size"),
        ({"overlap": 1.2}, "overlap"),
        ({"overlap": math.nan}, "overlap"),
        ({"gamma": math.inf}, "gamma"),
        ({"kinks": [math.nan]}, "kinks"),
        ({"kinks": 0.0}, "kinks"),
    ],
)
def test_bad_arguments_are_named(change, argument):
    arguments = {"kinks": [0.0], "overlap": 0.5, "gamma": 0.5, "batch_size": 8} | change
    with pytest.raises(InvalidSetup, match=argument):
        batch_averages(_relu, **arguments)
