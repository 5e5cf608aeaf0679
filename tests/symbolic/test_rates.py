"""Derived learning rates against hand-made algebra, and against the closed generalization error."""

import numpy as np
import pytest
import sympy as sp

import statmech_bn as sbn
from statmech_bn import symbolic as s
from statmech_bn.errors import InvalidSetup, NoClosedForm

pytestmark = pytest.mark.thorough

x = sp.Symbol("x")
VALUES = {s.R: 0.3, s.L: 1.2, s.gamma: 0.7, s.M: 9, s.Delta: 0.6, s.lamda: 0.2}


def value(expression, more=None):
    return float(sp.N(expression.subs({**VALUES, **(more or {})})))


def test_every_student_turns_by_the_same_equation():
    """dR/dt = η_eff D − η_eff² R B/(2M)."""
    for normalization in ("none", "weight", "population", "batch"):
        rate = s.effective_learning_rate(normalization)
        universal = rate * s.D - rate**2 * s.R * s.B / (2 * s.M)
        assert sp.simplify(s.order_parameter_flow(normalization)[s.R] - universal) == 0


@pytest.mark.parametrize("activation", ["linear", "relu", "erf", sp.Max(x, x / 10)], ids=str)
def test_maximum_without_normalization_is_where_the_error_stops_falling(activation):
    """By differentiating the closed error, which the derivation does not use."""
    error = s.generalization_error(activation).subs(s.gamma, s.L)
    flow = s.order_parameter_flow("none", activation)
    change = error.diff(s.R) * flow[s.R] + error.diff(s.L) * flow[s.L]
    largest = value(s.maximum_learning_rate("none", activation))
    at = [value(change, {s.eta: k * largest}) for k in (0.99, 1, 1.01)]
    assert at[0] < 0 < at[2]
    assert abs(at[1]) < 1e-10 * at[2] + 1e-12


def test_maxima_of_the_linear_unit():
    r, length, gamma, m, delta = sp.symbols("r l g m d", positive=True)
    known = {
        "weight": 2 * m * length**2 * (1 - r**2)
        / (gamma * r * (1 - 2 * gamma * r + gamma**2 + delta**2)),
        "none": 2 * m * (1 - 2 * r * length + length**2)
        / (1 - 2 * r * length + length**2 + delta**2),
        # 2(M − 3) e₁ (1 − R²) Q/(γR (1 − R² + Δ²)), e₁ = E[1/s]
        "batch": 2 * (m - 3) * sp.sqrt(m / 2) * sp.gamma((m - 2) / 2) / sp.gamma((m - 1) / 2)
        * (1 - r**2) * length**2 / (gamma * r * (1 - r**2 + delta**2)),
    }  # fmt: skip
    names = {r: s.R, length: s.L, gamma: s.gamma, m: s.M, delta: s.Delta}
    for normalization, expression in known.items():
        derived = s.maximum_learning_rate(normalization, "linear").subs(s.lamda, 0)
        assert value(derived) == pytest.approx(value(expression.subs(names)), rel=1e-12)


@pytest.mark.parametrize(
    ("activation", "slopes"),
    [("linear", (1, 1)), ("relu", (1, 0)), ("softplus", (1, 0)), (sp.Max(x, x / 10), (1, 0.1))],
    ids=str,
)
def test_divergence_depends_on_the_outer_slopes(activation, slopes):
    """Far out d log Q/dt = −2η(m₂ + λ) + η²m₄/M, m_k the mean of g'^k over the two sides."""
    second, fourth = (sum(a**k for a in slopes) / 2 for k in (2, 4))
    derived = s.divergence_learning_rate(activation)
    assert value(derived) == pytest.approx(2 * 9 * (second + 0.2) / fourth, rel=1e-12)


def test_divergence_of_other_growth():
    assert s.divergence_learning_rate("erf") == sp.oo
    assert s.divergence_learning_rate("tanh") == sp.oo
    assert s.divergence_learning_rate(x + x**3) == 0


@pytest.mark.parametrize("normalization", ["none", "weight", "batch"])
def test_jacobian_of_the_averages_is_that_of_the_closed_flow(normalization):
    flow = s.order_parameter_flow(normalization, "linear")
    states = list(flow)
    closed = sp.Matrix([[sp.diff(flow[a], b) for b in states] for a in states])
    find = s.batch_field_averages if normalization == "batch" else s.field_averages
    drive, pull, noise, label_noise = find("linear")
    averages = {s.D: drive, s.A: pull, s.B: noise + s.Delta**2 * label_noise}
    second = s.gamma
    if normalization == "none":
        averages = {a: e.subs(s.gamma, s.L) for a, e in averages.items()}
        second = s.L
    slopes = {
        symbol: averages[average].diff(argument)
        for average, symbols in s.rates.SLOPES.items()
        for symbol, argument in zip(symbols, (s.R, second), strict=True)
    }
    general = s.flow_jacobian(normalization).subs({**slopes, **averages})
    rates = {s.eta: 1.1, s.eta_gamma: 0.4, s.zeta: 0.1}
    for first, other in zip(closed, general, strict=True):
        assert value(first, rates) == pytest.approx(value(other, rates), rel=1e-12, abs=1e-14)


def test_fixed_points():
    vanilla = s.fixed_point("none", "relu")
    assert (vanilla.overlap, vanilla.length, vanilla.maximum) == (1, 1, 2 * s.M)
    weight = s.fixed_point("weight", "linear")
    assert sp.simplify(weight.gamma - 1 / (1 + 2 * s.zeta)) == 0
    r_squared = (1 - weight.gamma) ** 2 + s.Delta**2
    assert sp.simplify(weight.residual_noise - r_squared) == 0
    assert weight.maximum.subs({s.zeta: 0, s.Delta: 0}) == 2 * s.M * s.L**2
    batch = s.fixed_point("batch", "linear")
    scale = float(batch.gamma.subs({s.M: 32, s.zeta: 0}))
    assert scale == pytest.approx(float(s.spread_moment(1).subs(s.M, 32)), rel=1e-12)
    at_rest = batch.maximum.subs({s.zeta: 0, s.Delta: 0})
    assert sp.simplify(at_rest - 2 * s.L**2 * s.M * (s.M - 3) / (s.M - 2)) == 0
    assert s.fixed_point("weight", "erf").gamma == 1
    with pytest.raises(NoClosedForm, match="only for the linear"):
        s.fixed_point("batch", "relu")


def test_late_time_solves_the_flow_to_leading_order():
    """Put the law of the linear unit into the flow at t = 10⁹: the rates agree to 1/√t."""
    law = s.late_time("weight", "linear")
    flow = s.order_parameter_flow("weight", "linear")
    numbers = {s.M: 8, s.Delta: 0.5, s.zeta: 0.05, s.lamda: 0, s.eta: 3}
    gamma = 1 / (1 + 2 * 0.05)
    overlap, length = 1 - law[s.misalignment], law[s.L]
    state = {s.R: overlap, s.L: length, s.gamma: gamma}
    right = flow[s.L].subs(state).subs(numbers).subs(s.t, 10**9)
    left = length.diff(s.t).subs(numbers).subs(s.t, 10**9)
    assert float(left) == pytest.approx(float(right), rel=1e-4)
    # η_eff = ηγ/L², and dR/dt is the small difference of drive and noise
    effective = (3 * gamma / length**2).subs(numbers).subs(s.t, 100)
    assert float(effective) == pytest.approx(float(law[s.eta_eff].subs(numbers).subs(s.t, 100)))
    drive = (law[s.misalignment] * 2 * law[s.eta_eff]).subs(numbers).subs(s.t, 100)
    noise = (law[s.eta_eff] ** 2 * ((1 - gamma) ** 2 + 0.25) / 16).subs(numbers).subs(s.t, 100)
    assert float(drive) == pytest.approx(float(noise), rel=1e-12)


def test_late_time_of_the_known_units():
    """1 − R = (r/4)/√(2Mt) for the linear unit; D₁ = 1 and B = Δ²/2 for ReLU, with a kink."""
    point = {s.M: 8, s.Delta: 0.5, s.zeta: 0, s.t: 1000.0}
    linear = s.late_time("weight", "linear")
    assert float(linear[s.misalignment].subs(point)) == pytest.approx(0.125 / np.sqrt(16000))
    assert float(linear[s.eta_eff].subs(point)) == pytest.approx(np.sqrt(8 / (2 * 0.25 * 1000)))
    relu = s.late_time("weight", "relu")
    leading = np.sqrt(0.125) / 2 / np.sqrt(16000)
    kinked = leading * (1 + np.sqrt(2 * leading) / np.pi)
    assert float(relu[s.misalignment].subs(point)) == pytest.approx(kinked, rel=1e-12)
    batch = s.late_time("batch", "linear")
    e1 = float(s.spread_moment(-1).subs(s.M, 8))
    noise = 0.25 * 6 / 5
    known = np.sqrt(noise) / (2 * 2 * 6 / 8 * e1) / np.sqrt(16000)
    assert float(batch[s.misalignment].subs(point)) == pytest.approx(known, rel=1e-12)


def test_equilibrium_stops_the_flow():
    for normalization in ("weight", "batch"):
        rest = s.equilibrium(normalization)
        flow = s.order_parameter_flow(normalization)
        state = {s.D: rest[s.D], s.L: rest[s.L]}
        numbers = {**VALUES, s.B: 0.7, s.eta: 1.3}
        for symbol in (s.R, s.L):
            assert abs(float(flow[symbol].subs(state).subs(numbers))) < 1e-14
        doubled = rest[s.eta_eff].subs({s.eta: 2 * s.eta, s.lamda: s.lamda / 2})
        assert sp.simplify(doubled - rest[s.eta_eff]) == 0


def test_table():
    """γ₀ and η_max of every student; exact statistics lower the maximum, gamma decay raises it."""
    rows = {(row.activation, row.student): row for row in s.learning_rate_table()}
    assert len(rows) == 10
    for unit in ("linear", "relu"):
        assert rows[unit, "weight"].maximum == 2 * s.M * s.L**2
        assert rows[unit, "none"].effective == s.eta
        approximate = rows[unit, "batch_as_gamma_decay"]
        expansion = sp.series(approximate.gamma.subs(s.M, 1 / x), x, 0, 2).removeO()
        assert sp.simplify(expansion - (1 - sp.Rational(3, 2) * x)) == 0
    exact = rows["linear", "batch"]
    excess = [
        sp.limit((row.maximum / s.L**2 - 2 * s.M), s.M, sp.oo)
        for row in (exact, rows["linear", "batch_as_gamma_decay"])
    ]
    assert excess == [-2, 6]
    assert rows["relu", "batch"].maximum is None
    assert all(row.remark for row in rows.values() if "batch" in row.student)


def test_latex():
    header = ["activation", "student", r"$\gamma_0$", r"$\eta_{\max}$"]
    rows = s.learning_rate_table()
    cells = [[row.activation, row.student, row.gamma, row.maximum] for row in rows]
    text = sbn.codegen.latex_table(header, cells)
    assert text.startswith("\\begin{tabular}{llll}\n\\toprule\n")
    assert r"linear & weight & $1$ & $2 L^{2} M$ \\" in text
    assert r"relu & batch & -- & -- \\" in text
    law = s.late_time("weight", "linear")
    assert r"\sqrt{t}" in sbn.codegen.latex(law[s.eta_eff])


def test_bad_arguments_are_named():
    for function in (s.late_time, s.equilibrium):
        with pytest.raises(InvalidSetup, match="normalization"):
            function("none")
    with pytest.raises(NoClosedForm, match="tanh"):
        s.maximum_learning_rate("weight", "tanh")
