"""Rates on inputs with a covariance, against exact Hessians, the flow and the chain."""

from dataclasses import replace

import numpy as np
import pytest
import sympy as sp

import statmech_bn as sbn
from statmech_bn import rates

pytestmark = pytest.mark.thorough

z = sp.Symbol("z")
INPUTS = sbn.Spectrum([3, 1, 0.2], fractions=[0.2, 0.3, 0.5], teacher=[0.3, 0.4, 0.3])
ONE = sbn.Spectrum([1.0], fractions=[1.0])
EACH = pytest.mark.parametrize("normalization", ["none", "weight", "population", "batch"])


def state_of(normalization, overlap=None):
    gamma = 1.0 if normalization == "none" else 0.9
    if overlap is not None:
        return sbn.OrderParameters(overlap, 1.3, gamma)
    return sbn.OrderParameters.of_blocks([0.1, 0.05, 0.2], [0.4, 0.3, 0.5], gamma)


@EACH
@pytest.mark.parametrize("activation", ["linear", "relu", z / (1 + sp.exp(-z))], ids=str)
def test_the_flow_stops_improving_at_the_maximum(normalization, activation):
    """Where the change over two short times is zero, extrapolated to none."""
    setup, start = sbn.TeacherStudent(activation, normalization, 8, 0.3), state_of(normalization)
    name = "generalization_error" if normalization == "none" else "overlap"
    bounds = np.array([0.9, 1.1]) * rates.maximum(setup, start, INPUTS)
    run = sbn.macroscopic(setup, bounds, [0, 1e-5, 2e-5], start, inputs=INPUTS)[name]
    low, high = (run - run.isel(time=0)).values[:, 1:] / bounds[:, None]
    assert (low * high < 0).all()
    crossing = bounds[0] + (bounds[1] - bounds[0]) * low / (low - high)
    assert 2 * crossing[0] - crossing[1] == pytest.approx(bounds.mean(), rel=1e-3)


@EACH
@pytest.mark.parametrize("overlap", [0.5, -0.3])
def test_one_block_is_isotropic(normalization, overlap):
    setup, start = (
        sbn.TeacherStudent("relu", normalization, 8, 0.3),
        state_of(normalization, overlap),
    )
    expected = rates.maximum(setup, start)
    assert rates.maximum(setup, start, ONE) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("normalization", ["weight", "population", "batch"])
def test_a_scale_of_the_wrong_sign_never_improves(normalization):
    setup, start = sbn.TeacherStudent("relu", normalization, 8, 0.3), state_of(normalization, 0.2)
    assert rates.maximum(setup, replace(start, gamma=-1.0), INPUTS) == 0


@pytest.mark.parametrize("normalization", ["weight", "population"])
def test_late_time_of_one_block_is_isotropic(normalization):
    setup = sbn.TeacherStudent("relu", normalization, 8, 0.3)
    expected, found = rates.late_time(setup, [1e3]), rates.late_time(setup, [1e3], ONE)
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-9)


@EACH
def test_weights_move_as_directions_say(normalization):
    setup, start = sbn.TeacherStudent("erf", normalization, 8, 0.3), state_of(normalization)
    found = rates.directions(setup, start, INPUTS)
    rho = np.array(start.block_student_teacher)
    expected = -found["relaxation_rate"] * (rho - found["aim"] * INPUTS.teacher)
    run = sbn.macroscopic(setup, 0.5, [0, 1e-5], start, inputs=INPUTS)
    moved = run["block_student_teacher"].diff("time").values.ravel() / (0.5 * 1e-5)
    np.testing.assert_allclose(moved, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("activation", ["linear", "erf"])
@pytest.mark.parametrize("normalization", ["none", "weight", "population"])
@pytest.mark.parametrize("length", [1.0, 1.7])
def test_modes_are_those_of_the_hessian_of_the_loss(activation, normalization, length):
    """In v = γw/|w|_* the Hessian is E[g'(h)² x xᵀ] at w*, and |w|_* = L or √(wᵀΛw)."""
    if normalization == "none":
        length = 1.0
    eigenvalues, spread = INPUTS.eigenvalues, np.sqrt(INPUTS.teacher_variance)
    u = np.linspace(-10, 10, 4001)
    weight = np.exp(-(u**2) / 2) * (u[1] - u[0]) / np.sqrt(2 * np.pi)
    square = 2 / np.pi * np.exp(-((spread * u) ** 2)) if activation == "erf" else np.ones_like(u)
    across, along = weight @ square, weight @ (square * u**2)  # E[g'²] and E[g'²h²]/σ_*²
    roots, w = np.sqrt(eigenvalues), length * np.sqrt(INPUTS.teacher)
    unit = roots * np.sqrt(INPUTS.teacher) / spread
    curvature = across * np.eye(3) + (along - across) * np.outer(unit, unit)
    hessian = roots[:, None] * curvature * roots
    metric = eigenvalues if normalization == "population" else np.ones(3)
    size = np.sqrt(metric @ w**2)
    turned = np.eye(3) - np.outer(w, w * metric) / size**2
    change = np.column_stack([turned / length, w / size])
    if normalization == "none":
        change = np.eye(3)
    expected = np.linalg.eigvalsh(change.T @ hessian @ change)[::-1]
    found = rates.modes(sbn.TeacherStudent(activation, normalization), INPUTS, length)
    assert found["relaxation_rate"].dims == ("mode",)
    assert found["direction"].dims == ("mode", "block")
    if normalization == "population":  # γ has a mode of its own
        expected = np.delete(expected, np.argmin(np.abs(expected - along)))
    np.testing.assert_allclose(found["relaxation_rate"], expected, rtol=1e-6, atol=1e-9)
    across = across * eigenvalues / length**2
    np.testing.assert_allclose(found["orthogonal_rate"], across, rtol=1e-6)
    rest = np.concatenate([expected[expected > 1e-9], across])
    assert found["condition_number"].item() == pytest.approx(rest.max() / rest.min(), rel=1e-6)
    for rate, direction in zip(expected, found["direction"].values, strict=True):
        if normalization == "none":
            moved = hessian @ (direction * np.sqrt(INPUTS.teacher))
            np.testing.assert_allclose(moved, rate * direction * np.sqrt(INPUTS.teacher), atol=1e-6)


@pytest.mark.parametrize("normalization", ["weight", "population"])
def test_the_crossover_is_when_the_slowest_direction_has_followed(normalization):
    """Its rate at the length that weights have by then is the inverse of the time."""
    setup = sbn.TeacherStudent("erf", normalization, 8, 0.3)
    law = rates.late_time(setup, 1.0, INPUTS)
    assert (setup.to_attrs() | INPUTS.to_attrs()).items() <= law.attrs.items()
    time = law["crossover_time"].item()
    length = rates.late_time(setup, time, INPUTS)["length_per_root_rate"].item()
    slowest = rates.modes(setup, INPUTS, length)["orthogonal_rate"].values.min()
    assert slowest * time == pytest.approx(1.0, rel=1e-4)


def test_a_direction_without_inputs_is_not_waited_for():
    """The crossover grows like ⟨λ⟩ over the square of the smallest eigenvalue > 0."""
    setup = sbn.TeacherStudent("linear", "weight", 8, 0.3)
    some = {"fractions": [0.25, 0.25, 0.5], "teacher": [0.5, 0.5, 0.0]}
    none, slow = (
        rates.late_time(setup, 1.0, sbn.Spectrum([2, 1, least], **some))["crossover_time"].item()
        for least in (0, 0.5)
    )
    assert slow / none == pytest.approx(1.0 / 0.75 / 0.5**2)


@EACH
def test_the_slowest_mode_is_seen_in_the_flow(normalization):
    """Without noise blocks come to agree at the smallest rate in the end."""
    setup = sbn.TeacherStudent("erf", normalization, 10**6)
    slowest = min(r for r in rates.modes(setup, INPUTS)["relaxation_rate"].values if r > 0)
    rho = INPUTS.teacher * (1 + np.array([0.01, -0.01, 0.02]))
    spread_out = normalization in ("population", "batch")
    gamma = np.sqrt(INPUTS.teacher_variance) if spread_out else 1.0
    start = sbn.OrderParameters.of_blocks(rho, rho**2 / INPUTS.teacher, gamma)
    time = np.array([0.0, 3.0, 4.0]) / (0.1 * slowest)
    run = sbn.macroscopic(setup, 0.1, time, start, inputs=INPUTS)
    share = run["block_student_teacher"].isel(learning_rate=0) / INPUTS.teacher
    apart = (share.isel(block=2) - (1.0 if normalization == "none" else share.isel(block=0))).values
    assert np.log(apart[1] / apart[2]) == pytest.approx(1.0, rel=0.02)


@pytest.mark.parametrize("normalization", ["weight", "population", "batch"])
def test_late_time_forgets_the_covariance(normalization):
    """Two spectra, both with Σf_iλ_i = σ_*²: one law, which the flow obeys after the crossover."""
    setup = sbn.TeacherStudent("linear", normalization, 16, 0.5)
    first = sbn.Spectrum([1.6, 0.4], fractions=[0.5, 0.5])
    second = sbn.Spectrum([1.4, 0.9, 0.775], fractions=[0.3, 0.3, 0.4])
    laws = [rates.late_time(setup, [3e4], inputs) for inputs in (first, second, ONE)]
    for law in laws:
        np.testing.assert_allclose(law["misalignment"], laws[2]["misalignment"], rtol=1e-9)
    assert laws[0]["crossover_time"] > laws[1]["crossover_time"]
    for inputs, law in zip((first, second), laws, strict=False):
        run = sbn.macroscopic(setup, 2.0, [0, 3e4], sbn.OrderParameters(0.1), inputs=inputs)
        last = run.isel(time=-1, learning_rate=0)
        assert 1 - last["overlap"] == pytest.approx(law["misalignment"].item(), rel=0.02)
        length = law["length_per_root_rate"].item() * np.sqrt(2.0)
        assert last["length"] == pytest.approx(length, rel=0.02)
        assert last["gamma"] == pytest.approx(law["gamma"].item(), rel=0.01)


def test_a_teacher_in_large_eigenvalues_makes_batches_effectively_larger():
    """For a linear unit 1 − R ∝ √⟨λ⟩/σ_*², by the flow too."""
    setup = sbn.TeacherStudent("linear", "weight", 16, 0.5)
    inputs = sbn.Spectrum([1.6, 0.4], fractions=[0.5, 0.5], teacher=[0.9, 0.1])
    law = rates.late_time(setup, [3e4], inputs)
    isotropic = rates.late_time(setup, [3e4])["misalignment"].item()
    expected = isotropic / inputs.teacher_variance
    assert law["misalignment"].item() == pytest.approx(expected, rel=1e-9)
    run = sbn.macroscopic(setup, 2.0, [0, 3e4], sbn.OrderParameters(0.1), inputs=inputs)
    assert 1 - run["overlap"].values[0, -1] == pytest.approx(expected, rel=0.02)


def test_what_has_no_modes_is_refused():
    with pytest.raises(sbn.errors.InvalidSetup, match="weight_decay"):
        rates.modes(sbn.TeacherStudent("linear", "weight", weight_decay=0.1), INPUTS)
    bare = sbn.Spectrum([2, 1], fractions=[0.5, 0.5], teacher=[1, 0])
    with pytest.raises(sbn.errors.InvalidSetup, match="every block"):
        rates.modes(sbn.TeacherStudent("linear", "none"), bare)
    setup = replace(sbn.TeacherStudent("linear", "none"), gamma_decay=0.0)
    with pytest.raises(sbn.errors.InvalidSetup, match="state"):
        rates.maximum(setup, {"overlap": 0.5, "length": 1.0}, INPUTS)
    for function in (rates.maximum, rates.directions):
        with pytest.raises(sbn.errors.InvalidSetup, match=r"^inputs: "):
            function(setup, sbn.OrderParameters(0.5), [1.0, 2.0])


def test_a_divergence_is_recorded_wherever_times_fall():
    """Times are dense where lengths pass the largest number that is squared."""
    setup, inputs = (
        sbn.TeacherStudent("linear", "none", 16),
        sbn.Spectrum([2, 1], fractions=[0.4, 0.6]),
    )
    time = np.linspace(0.0, 4.0, 2001)
    run = sbn.macroscopic(setup, [0.5, 100.0], time, sbn.OrderParameters(0.1), inputs=inputs)
    stays, diverges = run["diverged_at"].values
    assert np.isnan(stays)
    assert 0 < diverges < 4
    gone = time >= diverges
    for name in ("length", "overlap", "generalization_error"):
        values = run[name].isel(learning_rate=1).values
        assert np.isinf(values[gone]).all()
        assert np.isfinite(values[~gone]).all()
