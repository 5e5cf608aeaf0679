"""Normalizations as objects: what they say of themselves, and that the backward pass is theirs."""

import itertools

import numpy as np
import pytest

import statmech_bn as sbn
from statmech_bn.normalization import NAMED, BatchNormalization, normalization, project

DESCRIPTIONS = [*NAMED, "ghost(4)"]


@pytest.mark.parametrize("description", DESCRIPTIONS)
def test_a_text_gives_back_what_wrote_it(description):
    rule = normalization(description)
    assert rule.name == description
    assert normalization(rule.name) == rule
    assert normalization(rule) is rule
    setup = sbn.TeacherStudent("relu", rule, 8)
    assert setup.normalization == description
    assert sbn.TeacherStudent.from_attrs(setup.to_attrs()) == setup


@pytest.mark.parametrize(
    "wrong", ["Batch", "ghost", "ghost(0)", "ghost(-3)", "ghost(8", "batch(8)", None, 3, ""]
)
def test_other_texts_are_refused(wrong):
    with pytest.raises(sbn.errors.InvalidSetup, match="normalization: expected one of none"):
        normalization(wrong)


@pytest.mark.parametrize(
    ("description", "batch_size", "message"),
    [("batch", 2, "≥ 3"), ("ghost(2)", 8, "≥ 3"), ("ghost(4)", 10, "multiple of the group's 4")],
)
def test_batches_in_which_nothing_is_learned_are_refused(description, batch_size, message):
    with pytest.raises(sbn.errors.InvalidSetup, match=message):
        sbn.TeacherStudent("relu", description, batch_size)


@pytest.mark.parametrize("description", ["batch", "ghost(3)"])
def test_the_flow_needs_a_finite_noise(description):
    setup = sbn.TeacherStudent("relu", description, 3)
    with pytest.raises(sbn.errors.InvalidSetup, match=r"batch_size.*≥ 4.*N → ∞"):
        sbn.macroscopic(setup, 1.0, [1.0], sbn.OrderParameters())


def test_means_of_groups_are_those_of_their_samples():
    values = np.random.default_rng(0).standard_normal((2, 12, 3))
    found = normalization("ghost(4)").mean_of_group(np, values)
    for i, m, k in itertools.product(range(2), range(12), range(3)):
        first = m // 4 * 4
        assert found[i, m, k] == pytest.approx(values[i, first : first + 4, k].mean())
    whole = normalization("batch").mean_of_group(np, values)
    np.testing.assert_allclose(whole, values.mean(axis=1, keepdims=True))


@pytest.mark.parametrize("rule", [BatchNormalization(), normalization("ghost(3)")])
def test_the_projection_is_the_derivative_of_the_statistics(rule):
    """Differences of Σ g û by each field equal (P g)/σ."""
    generator = np.random.default_rng(1)
    fields, gradient = generator.standard_normal((2, 9, 1))

    def normalized(h):
        centred = h - rule.mean_of_group(np, h)
        spread = np.sqrt(rule.mean_of_group(np, centred**2))
        return centred / spread, spread

    u, spread = normalized(fields)
    expected = np.empty_like(fields)
    for m in range(9):
        change = np.zeros_like(fields)
        change[m] = 1e-6
        higher, lower = (normalized(fields + sign * change)[0] for sign in (1, -1))
        expected[m] = np.sum(gradient * (higher - lower)) / 2e-6
    found = project(gradient, u, lambda values: rule.mean_of_group(np, values)) / spread
    np.testing.assert_allclose(found, expected, atol=1e-8)
