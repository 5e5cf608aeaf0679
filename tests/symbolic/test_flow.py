"""The derived flow against hand-known results, quadrature, and moments of the χ² law."""

import numpy as np
import pytest
import sympy as sp
from scipy.special import gammaln

import statmech_bn as sbn
from statmech_bn.activations import activation
from statmech_bn.averages.choice import Quadrature
from statmech_bn.codegen import numpy_function
from statmech_bn.errors import InvalidSetup, NoClosedForm
from statmech_bn.symbolic import A, B, D, L, M, R, eta, eta_gamma, gamma, lamda, zeta

x = sp.Symbol("x")
CLOSED = ["linear", "relu", "erf", sp.Max(x, x / 10), x**3 / 6 + x, sp.Abs(x)]
STATES = [(r, g) for r in (-0.9, -0.3, 0.0, 0.4, 0.95, 0.999) for g in (0.1, 0.7, 1.0, 2.5)]


def same(first, second):
    return sp.simplify(first - second) == 0


def test_flow_in_terms_of_the_averages():
    """Luo et al. 2019, and Saad & Solla 1995 without normalization, with weight decay."""
    weight = sbn.symbolic.order_parameter_flow("weight")
    q_rate = eta**2 * gamma**2 * B / (M * L**2) - 2 * eta * lamda * L**2
    rho_rate = eta * gamma / L * D - eta * lamda * R * L
    assert same(2 * L * weight[L], q_rate)
    assert same(L * weight[R] + R * weight[L], rho_rate)
    assert same(weight[gamma], eta_gamma * (A - 2 * zeta * gamma))
    none = sbn.symbolic.order_parameter_flow("none")
    assert same(2 * L * none[L], 2 * eta * L * A + eta**2 * B / M - 2 * eta * lamda * L**2)
    assert same(L * none[R] + R * none[L], eta * (D + R * A) - eta * lamda * R * L)
    assert gamma not in none


def test_weight_population_and_batch_share_the_form():
    flows = [sbn.symbolic.order_parameter_flow(n) for n in ("weight", "population", "batch")]
    assert flows[0] == flows[1] == flows[2]


@pytest.mark.parametrize("expression", CLOSED, ids=str)
def test_closed_averages_equal_quadrature(expression):
    g = activation(expression)
    rule = Quadrature.for_activation(g)
    closed = numpy_function(sbn.symbolic.field_averages(g), [R, gamma])
    error = numpy_function([sbn.symbolic.generalization_error(g)], [R, gamma])
    for state in STATES:
        integrated = rule.averages(*state)
        np.testing.assert_allclose(
            np.array(closed(*state)), integrated, rtol=1e-10, atol=1e-10, err_msg=str(state)
        )
        found = rule.errors(np.array([state[0]]), np.array([state[1]]))
        np.testing.assert_allclose(error(*state)[0], found[0], rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("power", [1, 2, -1, -2])
@pytest.mark.parametrize("batch_size", [4, 5, 32, 200])
def test_moments_of_the_spread(power, batch_size):
    """E[s^k] = (2/M)^{k/2} Γ((M−1+k)/2)/Γ((M−1)/2), as SciPy evaluates it."""
    derived = float(sbn.symbolic.spread_moment(power).subs(M, sp.Float(batch_size, 30)))
    half = (batch_size - 1) / 2
    known = np.exp(gammaln(half + power / 2) - gammaln(half)) * (2 / batch_size) ** (power / 2)
    assert derived == pytest.approx(known, rel=1e-12)


def test_linear_batch_flow():
    """dρ/dt = ηγ(1−R²)(M−2)e₁/(ML), dQ/dt = η²γ²(1−R²+Δ²)(M−2)/(M(M−3)Q), dγ/dt = η_γ(s_M R−γ)."""
    flow = sbn.symbolic.order_parameter_flow("batch", "linear")
    delta = sbn.symbolic.Delta
    e1 = sp.sqrt(M / 2) * sp.gamma((M - 2) / 2) / sp.gamma((M - 1) / 2)
    s_m = sp.sqrt(2 / M) * sp.gamma(M / 2) / sp.gamma((M - 1) / 2)
    rho_rate = eta * gamma * (1 - R**2) * (M - 2) * e1 / (M * L)
    q_rate = eta**2 * gamma**2 * (1 - R**2 + delta**2) * (M - 2) / (M * (M - 3) * L**2)
    values = {
        R: 0.3,
        L: 1.2,
        gamma: 0.7,
        M: 9,
        eta: 1.3,
        eta_gamma: 0.4,
        delta: 0.6,
        lamda: 0,
        zeta: 0,
    }
    for derived, known in (
        (2 * L * flow[L], q_rate),
        (L * flow[R] + R * flow[L], rho_rate),
        (flow[gamma], eta_gamma * (s_m * R - gamma)),
    ):
        assert float(derived.subs(values)) == pytest.approx(float(known.subs(values)), rel=1e-12)


def test_linear_batch_averages_at_many_samples():
    """D and A₂ become those of weight normalization; B loses A₂², what û explains of δ."""
    state = {R: 0.3, gamma: 0.8}
    many = [
        float(e.subs(M, sp.Float(10**6, 40)).subs(state))
        for e in sbn.symbolic.batch_field_averages("linear")
    ]
    drive, pull, noise, label_noise = (
        float(e.subs(state)) for e in sbn.symbolic.field_averages("linear")
    )
    assert many == pytest.approx([drive, pull, noise - pull**2, label_noise], rel=1e-5)


def test_what_is_not_closed_says_so():
    with pytest.raises(NoClosedForm, match="tanh"):
        sbn.symbolic.order_parameter_flow("weight", "tanh")
    with pytest.raises(NoClosedForm, match="only for the linear"):
        sbn.symbolic.order_parameter_flow("batch", "relu")
    with pytest.raises(InvalidSetup, match="normalization"):
        sbn.symbolic.order_parameter_flow("layer")


def test_latex_of_a_flow():
    text = sbn.codegen.latex(sbn.symbolic.order_parameter_flow("weight", "linear"))
    assert text.count(r"\\") == 2
    for left in (r"\frac{dR}{dt} &=", r"\frac{dL}{dt} &=", r"\frac{d\gamma}{dt} &="):
        assert left in text
    assert r"\eta_{\gamma}" in text
