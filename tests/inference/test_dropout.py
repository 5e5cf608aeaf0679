"""Dropout beside batch normalization: the variance shift, γ at rest, and what masks are worth."""

import numpy as np
import pytest

import statmech_bn as sbn
from statmech_bn import inference
from statmech_bn.errors import InvalidSetup
from statmech_bn.inference import dropout


@pytest.mark.parametrize(("keep", "mean"), [(0.5, 0.0), (0.8, 1.5), (0.3, -0.7)])
def test_the_shift_is_that_of_masked_samples(keep, mean):
    rng = np.random.default_rng(0)
    x = mean + rng.standard_normal(1_000_000)
    masked = x * (rng.random(x.size) < keep) / keep
    assert inference.variance_shift(keep, mean) == pytest.approx(1 / masked.var(), rel=0.01)


@pytest.mark.parametrize("place", ["before", "behind"])
def test_the_scale_minimizes_the_loss_over_masks(place):
    """Many batches of fields at R = 0.8 with 30 masked inputs, or masked outputs."""
    rng, keep, size, overlap = np.random.default_rng(1), 0.6, 8, 0.8
    batches, n = 4000, 30
    teacher = rng.standard_normal((batches, n))
    teacher *= np.sqrt(n) / np.linalg.norm(teacher, axis=1, keepdims=True)
    other = rng.standard_normal((batches, n))
    other -= np.sum(other * teacher, axis=1, keepdims=True) * teacher / n
    other *= np.sqrt(n) / np.linalg.norm(other, axis=1, keepdims=True)
    w = overlap * teacher + 0.6 * other
    x = rng.standard_normal((batches, size, n))
    y = np.einsum("bmn,bn->bm", x, teacher) / np.sqrt(n)
    kept = np.ones_like(y)
    if place == "before":
        x *= (rng.random(x.shape) < keep) / keep
    else:
        kept = (rng.random(y.shape) < keep) / keep
    h = np.einsum("bmn,bn->bm", x, w)
    shown = kept * (h - h.mean(axis=1, keepdims=True)) / h.std(axis=1, keepdims=True)
    products, squares = np.mean(y * shown, axis=1), np.mean(shown**2, axis=1)
    gamma = products.mean() / squares.mean()  # the minimum of E ½(y − γ shown)²
    error = (products - gamma * squares).std() / np.sqrt(batches) / squares.mean()
    found = inference.dropout_scale(place, keep, size, overlap)[0]
    assert abs(gamma - found) < 4 * error


def test_without_masks_nothing_is_left_of_them():
    setup = sbn.TeacherStudent("linear", "batch", 8, label_noise=0.3)
    assert inference.without_dropout(setup, 1.0) == (setup, 1.0, 1.0)
    gamma, running, recomputed = inference.dropout_scale("before", 1.0, 8, 0.7)
    assert gamma == running == recomputed
    s = 1 - inference.training_loss("linear", 8, 1.0)
    assert inference.dropout_scale("behind", 0.5, 8) == pytest.approx((s / 2,) * 3)


def test_flow_and_rest_agree():
    """The student without masks stops where the average over masks says."""
    setup = sbn.TeacherStudent("linear", "batch", 8, label_noise=0.1)
    other, rate, scale = inference.without_dropout(setup, 0.5)
    run = sbn.macroscopic(
        other, rate, [3000.0], sbn.OrderParameters(0.1), gamma_learning_rate=1.0, workers=1
    )
    overlap, gamma = (run[name].item() for name in ("overlap", "gamma"))
    expected = inference.dropout_scale("before", 0.5, 8, overlap)[0]
    assert overlap > 0.9
    assert scale * gamma == pytest.approx(expected, rel=2e-3)  # γ follows R, which still rises


@pytest.mark.parametrize("keep", [0.0, 1.5, -0.1])
def test_odd_probabilities_are_refused(keep):
    with pytest.raises(InvalidSetup, match="keep"):
        inference.variance_shift(keep)


def test_other_students_are_refused():
    for setup in (sbn.TeacherStudent("relu", "batch", 8), sbn.TeacherStudent("linear", "weight")):
        with pytest.raises(InvalidSetup, match="setup"):
            inference.without_dropout(setup, 0.5)


@pytest.mark.parametrize("wrong", [{"overlap": 2.0}, {"overlap": [0.5]}, {"place": "on"}], ids=str)
def test_arguments_are_checked_before_anything_is_derived(wrong, monkeypatch):
    monkeypatch.setattr(dropout, "training_loss", None)
    with pytest.raises(InvalidSetup, match=next(iter(wrong))):
        inference.dropout_scale(**{"place": "before", "keep": 0.5, "batch_size": 8, **wrong})
