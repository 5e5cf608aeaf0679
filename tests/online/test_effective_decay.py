"""ζ_eff against closed forms, the theory of order 1/M, and what it is defined to reproduce."""

import numpy as np
import pytest
import scipy.integrate

import statmech_bn as sbn
from statmech_bn.activations import activation
from statmech_bn.averages.choice import Quadrature
from statmech_bn.errors import InvalidSetup

START, TIME = sbn.OrderParameters(0.1, 1.0, 0.8), np.array([0.0, 1.0, 3.0, 80.0])


def run(name="linear", size=8, level=sbn.macroscopic, **more):
    setup = sbn.TeacherStudent(name, "batch", size, label_noise=0.3)
    return sbn.effective_gamma_decay(level(setup, [0.5, 2.0], TIME, START, **more))


def test_linear_unit():
    """(1 − s_M) R/(2γ), with s_M from an integral over χ²."""
    size = 8
    spread, _ = scipy.integrate.quad(
        lambda x: np.sqrt(x / size) * scipy.stats.chi2(size - 1).pdf(x), 0, np.inf
    )
    setup = sbn.TeacherStudent("linear", "batch", size)
    found = sbn.macroscopic(setup, [0.5, 2.0], TIME, START)
    expected = (1 - spread) * found.overlap / (2 * found.gamma)
    np.testing.assert_allclose(sbn.effective_gamma_decay(found), expected, rtol=1e-7)


@pytest.mark.parametrize(("name", "information"), [("linear", 1.0), ("relu", 0.5)])
def test_at_rest_it_is_the_correlated_theory(name, information):
    size = 64
    s = sbn.symbolic
    theory = {
        statistics: information
        * float(s.gamma_decay(statistics, "linear", "gaussian").zeta.subs({s.M: size, s.gamma: 1}))
        for statistics in ("correlated", "independent")
    }
    at_rest = run(name, size).isel(time=-1).values
    np.testing.assert_allclose(at_rest, theory["correlated"], rtol=0.03)  # order M^(−3/2)
    assert (at_rest < 0.6 * theory["independent"]).all()


@pytest.mark.parametrize("name", ["erf", "tanh"])
def test_population_normalization_with_it_has_the_same_pull(name):
    rule = Quadrature.for_activation(activation(name))
    setup = sbn.TeacherStudent(name, "batch", 8)
    found = sbn.macroscopic(setup, 1.0, TIME, START).isel(learning_rate=0)
    for overlap, gamma, decay in zip(
        found.overlap.values, found.gamma.values, sbn.effective_gamma_decay(found).values,
        strict=True,
    ):  # fmt: skip
        penalized = rule.averages(overlap, gamma)[1] - 2 * decay * gamma
        assert penalized == pytest.approx(rule.batch_averages(overlap, gamma, 8)[1], abs=2e-7)


def test_it_has_the_shape_of_the_run_and_is_described():
    found = run("relu", 8, sbn.mesoscopic, dimension=20, replicas=3)
    assert found.dims == ("learning_rate", "replica", "time")
    assert np.isfinite(found).all()
    assert found.attrs["symbol"] == r"$\zeta_{\mathrm{eff}}$"
    assert found.name == "effective_gamma_decay"


def test_negative_gamma_is_the_mirror_image():
    setup, time = sbn.TeacherStudent("relu", "batch", 8), [0.0]
    states = (sbn.OrderParameters(0.3, 1.0, 0.7), sbn.OrderParameters(-0.3, 1.0, -0.7))
    one, other = (
        sbn.effective_gamma_decay(sbn.macroscopic(setup, 1.0, time, state)).item()
        for state in states
    )
    pulls = [
        Quadrature.for_activation(activation("relu")).averages(r, g)[1]
        for r, g in ((0.3, 0.7), (-0.3, -0.7))
    ]
    # (u, γ, R) ↦ (−u, −γ, −R): the same outputs, an opposite pull, the same decay
    assert pulls[0] == pytest.approx(-pulls[1], rel=1e-9)
    assert one == pytest.approx(other, rel=1e-5)


def test_no_scale_and_divergence_are_infinite():
    setup = sbn.TeacherStudent("linear", "batch", 4)
    found = sbn.macroscopic(setup, 1.0, [0.0], sbn.OrderParameters(0.5, 1.0, 0.0))
    assert np.isinf(sbn.effective_gamma_decay(found)).all()
    assert np.isinf(sbn.effective_gamma_decay(found.assign(overlap=found.overlap + np.inf))).all()


def test_ghost_batches_are_worth_what_a_batch_of_their_size_is():
    found = {}
    for text, size in (("batch", 8), ("ghost(8)", 32), ("batch", 32)):
        result = sbn.macroscopic(sbn.TeacherStudent("linear", text, size), 0.5, [0.0], START)
        found[text, size] = sbn.effective_gamma_decay(result).item()
    assert found["ghost(8)", 32] == pytest.approx(found["batch", 8], rel=1e-9)
    assert found["ghost(8)", 32] > 2 * found["batch", 32] > 0


@pytest.mark.thorough
def test_other_runs_are_refused():
    weight = sbn.macroscopic(sbn.TeacherStudent("linear", "weight"), 1.0, TIME, START)
    with pytest.raises(InvalidSetup, match="batch"):
        sbn.effective_gamma_decay(weight)
    small = sbn.mesoscopic(sbn.TeacherStudent("relu", "batch", 3), 1.0, [1.0], START, 10)
    with pytest.raises(InvalidSetup, match="batch_size"):
        sbn.effective_gamma_decay(small)
    setup = sbn.TeacherStudent("linear", "batch", 8)
    uniform = sbn.microscopic(
        setup, 1.0, [1.0], START, 10, inputs=lambda g, m, n: g.uniform(-1, 1, (m, n))
    )
    with pytest.raises(InvalidSetup, match="Gaussian"):
        sbn.effective_gamma_decay(uniform)
