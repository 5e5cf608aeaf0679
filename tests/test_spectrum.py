"""A spectrum says of inputs what a diagonalization by hand says, and refuses what is none."""

import json
import pickle
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import statmech_bn as sbn
from statmech_bn.errors import InputsWarning, InvalidSetup, InvalidStore

THREE = sbn.Spectrum([3, 1, 0.2], fractions=[0.2, 0.3, 0.5], teacher=[0.3, 0.4, 0.3])
SAMPLES = np.random.default_rng(3).standard_normal((60, 8)) * np.linspace(0.3, 2, 8)
W = np.random.default_rng(4).standard_normal(8)


def test_attributes():
    assert THREE.blocks == 3
    assert THREE.dimension is None
    assert not THREE.isotropic
    assert THREE.teacher_variance == pytest.approx(3 * 0.3 + 0.4 + 0.2 * 0.3)
    assert THREE.multiplicities is None
    for name in ("eigenvalues", "fractions", "teacher"):
        with pytest.raises(ValueError, match="read-only"):
            getattr(THREE, name)[0] = 1.0
    by_number = sbn.Spectrum([3, 1, 0.2], multiplicities=[4, 6, 10])
    np.testing.assert_array_equal(by_number.fractions, THREE.fractions)
    np.testing.assert_array_equal(by_number.teacher, THREE.fractions)
    assert by_number.dimension == 20
    assert by_number.multiplicities.dtype.kind == "i"


@pytest.mark.parametrize(
    ("eigenvalues", "expected"), [([1], True), ([1.1], False), ([1, 1], False)]
)
def test_isotropic_is_one_block_of_variance_one(eigenvalues, expected):
    shares = np.full(len(eigenvalues), 1 / len(eigenvalues))
    assert sbn.Spectrum(eigenvalues, fractions=shares).isotropic is expected


@settings(max_examples=60)
@given(st.lists(st.integers(1, 10**4), min_size=1, max_size=12), st.integers(0, 10**5))
def test_counts_are_the_nearest_integers_of_the_right_sum(parts, more):
    """Rounding misses a share by less than 1, but for blocks that would have none."""
    shares, size = np.array(parts) / sum(parts), len(parts) + more
    found = sbn.Spectrum(np.ones(len(parts)), fractions=shares).counts(size)
    assert found.sum() == size
    assert (found >= 1).all()
    exact = [Fraction(part, sum(parts)) * size for part in parts]
    if min(exact) >= 1:
        assert all(abs(count - share) < 1 + 1e-6 for count, share in zip(found, exact, strict=True))


def test_counts_by_hand():
    assert sbn.Spectrum([2, 1], fractions=[1 / 3, 2 / 3]).counts(10).tolist() == [3, 7]
    tiny = sbn.Spectrum([2, 1, 1], fractions=[0.01, 0.01, 0.98])
    assert tiny.counts(5).tolist() == [1, 1, 3]
    assert tiny.counts(3).tolist() == [1, 1, 1]
    assert sbn.Spectrum([2, 1], multiplicities=[3, 4]).counts(7).tolist() == [3, 4]


@pytest.mark.parametrize("exponent", [0.0, 0.5, 2.0])
def test_power_law(exponent):
    found = sbn.Spectrum.power_law(exponent, 40, multiplicities=np.arange(1, 41))
    ratio = found.eigenvalues[39] / found.eigenvalues[3]
    assert ratio == pytest.approx(10.0**-exponent, rel=1e-12)
    assert found.fractions @ found.eigenvalues == pytest.approx(1.0, rel=1e-14)


def test_a_covariance_is_taken_apart():
    covariance = np.cov(SAMPLES.T)
    found = sbn.Spectrum.from_covariance(covariance, teacher=7 * W)
    np.testing.assert_allclose(found.eigenvalues, np.linalg.eigvalsh(covariance)[::-1], rtol=1e-10)
    unit = W / np.linalg.norm(W)
    assert found.teacher_variance == pytest.approx(unit @ covariance @ unit, rel=1e-12)
    v = np.random.default_rng(5).standard_normal(8)
    rho = found.block_products(v, W)
    assert rho.sum() == pytest.approx(v @ W / 8)
    assert found.eigenvalues @ rho == pytest.approx(v @ covariance @ W / 8, rel=1e-12)


def test_a_diagonal_covariance_is_the_same():
    variances = np.array([0.5, 2.0, 0.5, 1.0])
    diagonal, full = (
        sbn.Spectrum.from_covariance(c, teacher=[1, 2, 3, 4])
        for c in (variances, np.diag(variances))
    )
    assert diagonal.eigenvalues.tolist() == [2.0, 1.0, 0.5]
    assert diagonal.multiplicities.tolist() == full.multiplicities.tolist() == [1, 1, 2]
    np.testing.assert_allclose(diagonal.teacher, np.array([4, 16, 10]) / 30, rtol=1e-14)
    np.testing.assert_allclose(full.teacher, diagonal.teacher, rtol=1e-12)
    a, b = np.random.default_rng(6).standard_normal((2, 5, 4))
    np.testing.assert_allclose(diagonal.block_products(a, b), full.block_products(a, b), atol=1e-14)


def test_data_have_the_covariance_of_their_rows():
    found = sbn.Spectrum.from_data(SAMPLES, teacher=W)
    known = sbn.Spectrum.from_covariance(np.cov(SAMPLES.T, bias=True), teacher=W)
    np.testing.assert_allclose(found.eigenvalues, known.eigenvalues, rtol=1e-10)
    np.testing.assert_allclose(found.teacher, known.teacher, rtol=1e-8)
    raw = sbn.Spectrum.from_data(SAMPLES + 5, centre=False)
    second = (SAMPLES + 5).T @ (SAMPLES + 5) / 60
    np.testing.assert_allclose(raw.eigenvalues, np.linalg.eigvalsh(second)[::-1], rtol=1e-10)


@pytest.mark.parametrize("centre", [True, False])
def test_labels_make_the_best_linear_teacher(centre):
    """What regression with a column of ones leaves is the label noise, in units of the labels."""
    rng = np.random.default_rng(7)
    x = SAMPLES + 1.0
    y = np.tanh(x @ W) + 3.0 + 0.2 * rng.standard_normal(60)
    found = sbn.Spectrum.from_data(x, labels=y, centre=centre)
    design = np.column_stack([x, np.ones(60)]) if centre else x
    v = np.linalg.lstsq(design, y, rcond=None)[0]
    residual = np.sqrt(np.mean((y - design @ v) ** 2))
    scale = np.linalg.norm(v[:8])  # v·x/√N: the regression's coefficients are v/√N
    assert found.label_scale == pytest.approx(scale, rel=1e-10)
    assert found.label_noise == pytest.approx(residual / scale, rel=1e-10)
    moment = np.cov(x.T, bias=True) if centre else x.T @ x / 60
    assert found.teacher_variance == pytest.approx(v[:8] @ moment @ v[:8] / scale**2, rel=1e-10)
    assert found.teacher.sum() == pytest.approx(1.0, rel=1e-14)


def test_merging_keeps_the_trace_and_says_what_it_changes():
    values, shares = np.array([0.98, 3.0, 1.0, 0.2]), np.array([0.1, 0.2, 0.3, 0.4])
    spectrum = sbn.Spectrum(values, fractions=shares, teacher=[0.4, 0.3, 0.2, 0.1])
    found = spectrum.merged(0.05)
    np.testing.assert_allclose(found.eigenvalues, [3.0, 0.995, 0.2], rtol=1e-14)
    np.testing.assert_allclose(found.fractions, [0.2, 0.4, 0.4], rtol=1e-14)
    np.testing.assert_allclose(found.teacher, [0.3, 0.6, 0.1], rtol=1e-14)
    change = found.merge_error
    assert change.eigenvalue == pytest.approx(0.995 / 0.98 - 1, rel=1e-10)
    assert change.trace == pytest.approx(0, abs=1e-15)
    before = values @ [0.4, 0.3, 0.2, 0.1]
    assert change.teacher_variance == pytest.approx(
        (0.9 + 0.995 * 0.6 + 0.02) / before - 1, rel=1e-10
    )
    assert found.merged(0.0) == found
    twice = found.merged(0.9)
    assert (twice.teacher_variance / before - 1) == pytest.approx(
        twice.merge_error.teacher_variance
    )


def test_merging_moves_the_basis_along():
    found = sbn.Spectrum.from_covariance([1.0, 5.0, 0.99, 4.9], teacher=[1, 2, 3, 4])
    merged = found.merged(0.05)
    assert merged.multiplicities.tolist() == [2, 2]
    np.testing.assert_allclose(
        merged.block_products(np.eye(4), np.eye(4))[:, 0], [0, 0.25, 0, 0.25]
    )


def test_zero_eigenvalues_merge_with_zeros_only():
    with pytest.warns(InputsWarning, match="outside"):
        spectrum = sbn.Spectrum([1, 0, 1e-9, 0], fractions=np.full(4, 0.25))
    assert spectrum.merged(0.99).eigenvalues.tolist() == [1.0, 1e-9, 0.0]


@pytest.mark.parametrize(
    "spectrum",
    [THREE, sbn.Spectrum.from_data(SAMPLES, labels=SAMPLES @ W + 1), THREE.merged(0.9)],
    ids=["fractions", "data", "merged"],
)
def test_round_trips(spectrum):
    found = sbn.Spectrum.from_attrs(json.loads(json.dumps(spectrum.to_attrs())))
    assert found == spectrum
    assert hash(found) == hash(spectrum)
    assert repr(found) == repr(spectrum)
    assert pickle.loads(pickle.dumps(spectrum)) == spectrum
    assert found != sbn.Spectrum([1], fractions=[1])


@pytest.mark.parametrize(
    "change",
    [
        {"eigenvalues": [-1, 1, 1]}, {"eigenvalues": None}, {"eigenvalues": [1]},
        {"teacher": [1, 1, 1]}, {"fractions": ["a"]}, {"merge_error": 3}, {"merge_error": [1, 2]},
        {"label_noise": -1}, {"more": 1}, {"eigenvalues": [float("nan"), 1, 1]},
        {"eigenvalues": [[1], [1, 2], 3]}, {"label_scale": 10**400},
    ],
    ids=str,
)  # fmt: skip
def test_what_strangers_write_is_checked(change):
    values = {**json.loads(THREE.to_attrs()["spectrum"]), **change}
    with pytest.raises(InvalidStore, match="spectrum"):
        sbn.Spectrum.from_attrs({"spectrum": json.dumps(values)})


@pytest.mark.parametrize(
    "attributes", [{}, {"spectrum": "{"}, {"spectrum": 3}, {"spectrum": "[1]"}]
)
def test_no_spectrum_in_a_store(attributes):
    with pytest.raises(InvalidStore, match="spectrum"):
        sbn.Spectrum.from_attrs(attributes)


ONE = {"fractions": [0.5, 0.5]}


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: sbn.Spectrum([1, -1], **ONE), "eigenvalues.*≥ 0"),
        (lambda: sbn.Spectrum([1, np.nan], **ONE), "eigenvalues"),
        (lambda: sbn.Spectrum([0, 0], **ONE), "eigenvalues.*> 0"),
        (lambda: sbn.Spectrum([1, 2], fractions=[0.5, 0.6]), "fractions.*1.1.*Divide"),
        (lambda: sbn.Spectrum([1, 2], fractions=[0, 1]), "fractions.*> 0"),
        (lambda: sbn.Spectrum([1, 2], fractions=[1]), "fractions.*2 numbers"),
        (lambda: sbn.Spectrum([1, 2], multiplicities=[1.5, 2]), "multiplicities.*integer"),
        (lambda: sbn.Spectrum([1, 2], multiplicities=[0, 2]), "multiplicities"),
        (lambda: sbn.Spectrum([1, 2]), "fractions, multiplicities.*one of them"),
        (lambda: sbn.Spectrum([1, 2], [0.5, 0.5], [1, 1]), "fractions, multiplicities"),
        (lambda: sbn.Spectrum([1, 2], **ONE, teacher=[0.3, 0.3]), "teacher.*sum 0.6"),
        (lambda: sbn.Spectrum([1, 2], **ONE, teacher=[1.5, -0.5]), "teacher.*≥ 0"),
        (lambda: sbn.Spectrum([1, 0], **ONE, teacher=[0, 1]), "teacher.*eigenvalues are > 0"),
        (lambda: THREE.counts(2), "dimension.*at least 3.*merged"),
        (lambda: sbn.Spectrum([2, 1], multiplicities=[3, 4]).counts(8), "dimension.*7.*got 8"),
        (lambda: THREE.merged(1.0), "tolerance"),
        (lambda: THREE.merged(-0.1), "tolerance"),
        (lambda: sbn.Spectrum.power_law(-1, 3), "exponent"),
        (lambda: sbn.Spectrum.power_law(1, 0), "blocks"),
        (lambda: sbn.Spectrum.from_covariance([[1, 2], [0, 1]]), "covariance.*symmetric"),
        (lambda: sbn.Spectrum.from_covariance([[1, 2], [2, 1]]), "covariance.*semidefinite"),
        (lambda: sbn.Spectrum.from_covariance([1, 1], teacher=[1]), "teacher.*2 numbers"),
        (lambda: sbn.Spectrum.from_data(np.zeros((5, 2))), "samples.*vary"),
        (lambda: sbn.Spectrum.from_data(SAMPLES[:1]), "samples.*at least two"),
        (lambda: sbn.Spectrum.from_data(SAMPLES, W, SAMPLES @ W), "teacher, labels"),
        (lambda: sbn.Spectrum.from_data(SAMPLES, labels=W), "labels.*60"),
        (lambda: sbn.Spectrum.from_data(SAMPLES, labels=np.ones(60)), "labels.*depend"),
        (lambda: THREE.block_products(np.ones(2), np.ones(2)), "dimension"),
    ],
)  # fmt: skip
def test_refused(call, words):
    with pytest.raises(InvalidSetup, match=words):
        call()


def test_gaps_in_data_are_named():
    with_gaps = SAMPLES.copy()
    with_gaps[5, [1, 6]] = np.nan, np.inf
    with pytest.raises(InvalidSetup, match=r"columns 1, 6.*Leave out"):
        sbn.Spectrum.from_data(with_gaps)


def test_constant_columns_are_said():
    constant = SAMPLES.copy()
    constant[:, 2] = 0.1
    with pytest.warns(InputsWarning, match="columns 2 are constant.*drop them"):
        found = sbn.Spectrum.from_data(constant, labels=SAMPLES @ W)
    assert found.eigenvalues[-1] == 0
    assert found.teacher[-1] == 0


def test_few_samples_are_said():
    with pytest.warns(InputsWarning, match="5 samples are fewer than 8 dimensions"):
        found = sbn.Spectrum.from_data(SAMPLES[:5], labels=np.arange(5.0))
    assert found.multiplicities[-1] == 4  # four directions of five centred samples are left
    assert found.eigenvalues[-1] == found.teacher[-1] == 0
    assert found.label_noise < 1e-9


@pytest.mark.filterwarnings("ignore:samples")
def test_a_teacher_outside_of_the_span_is_said():
    with pytest.warns(InputsWarning, match="0.25 of it lies outside") as caught:
        sbn.Spectrum([1, 0], fractions=[0.5, 0.5], teacher=[0.75, 0.25])
    assert caught[0].filename == __file__
    with pytest.warns(InputsWarning, match="outside of the data's span") as caught:
        found = sbn.Spectrum.from_data(SAMPLES[:5], teacher=W)
    assert {warning.filename for warning in caught} == {__file__}
    assert found.teacher[found.eigenvalues == 0].sum() > 0


def test_a_start_of_blocks():
    rho, q = [0.1, 0.05, 0.2], [0.4, 0.3, 0.5]
    start = sbn.OrderParameters.of_blocks(rho, q, gamma=0.9)
    assert start.overlap == pytest.approx(0.35 / np.sqrt(1.2))
    assert start.length == pytest.approx(np.sqrt(1.2))
    np.testing.assert_array_equal(start.blocks(THREE), (rho, q))
    assert sbn.OrderParameters(**json.loads(json.dumps(start.to_dict()))) == start
    assert "block_student_teacher" in repr(start)


def test_a_random_direction_spreads_over_the_blocks():
    """Mean over random directions at N = 4000, within 4 standard errors + O(1/N)."""
    start, n, runs = sbn.OrderParameters(0.4, 1.5), 4000, 300
    counts = THREE.counts(n)
    rng = np.random.default_rng(8)
    teacher = np.repeat(np.sqrt(THREE.teacher / counts * n), counts)
    other = rng.standard_normal((runs, n))
    other -= np.outer(other @ teacher, teacher) / n
    other *= np.sqrt(n) / np.linalg.norm(other, axis=1, keepdims=True)
    w = start.length * (start.overlap * teacher + np.sqrt(1 - start.overlap**2) * other)
    for found, expected in zip(
        (THREE.block_products(w, teacher), THREE.block_products(w, w)), start.blocks(THREE),
        strict=True,
    ):  # fmt: skip
        error = found.std(axis=0) / np.sqrt(runs)
        assert (np.abs(found.mean(axis=0) - expected) < 4 * error + 2 / n).all()
        assert (error < 0.01).all()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: sbn.OrderParameters.of_blocks([0.1], [0.4, 0.3]), "as many"),
        (lambda: sbn.OrderParameters.of_blocks([0.1], [-0.4]), "student_student.*≥ 0"),
        (lambda: sbn.OrderParameters.of_blocks([0.0], [0.0]), "student_student.*> 0"),
        (lambda: sbn.OrderParameters.of_blocks([2.0], [1.0]), "student_teacher.*at most"),
        (lambda: sbn.OrderParameters.of_blocks([0.1], [0.4]).blocks(THREE), "start.*3 blocks"),
        (lambda: sbn.OrderParameters.of_blocks([0.4, 0, 0], [0.4, 1, 1]).blocks(THREE),
         r"start.*0\.4² > 0\.4 · 0\.3 in block 0"),
        (lambda: sbn.OrderParameters(0.5, block_student_teacher=[0.1], block_student_student=[1]),
         "overlap, length.*of_blocks"),
        (lambda: sbn.OrderParameters(block_student_teacher=[0.1]), "student_student"),
    ],
)  # fmt: skip
def test_starts_refused(call, words):
    with pytest.raises(InvalidSetup, match=words):
        call()
