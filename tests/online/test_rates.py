"""Learning rates of states against the flow that `macroscopic` integrates, and closed forms."""

import math

import numpy as np
import pytest

import statmech_bn as sbn
from statmech_bn import symbolic as s
from statmech_bn.errors import InvalidSetup, NotConverged
from statmech_bn.online.rates.states import averages

rates = sbn.rates
STATE = sbn.OrderParameters(overlap=0.4, length=1.3, gamma=0.8)
UNITS = ["linear", "relu", "tanh"]


def student(activation="linear", normalization="weight", **more):
    return sbn.TeacherStudent(activation, normalization, **{"batch_size": 8, **more})


def start(normalization):
    return sbn.OrderParameters(0.4, 1.3, 1.0 if normalization == "none" else 0.8)


@pytest.mark.parametrize("activation", UNITS)
@pytest.mark.parametrize("normalization", ["none", "weight", "population", "batch"])
def test_a_state_improves_below_its_maximum(activation, normalization):
    """By integrating a short while on both sides of it."""
    setup = student(activation, normalization, label_noise=0.5, weight_decay=0.1)
    state = start(normalization)
    largest = rates.maximum(setup, state)
    sides = [0.98 * largest, 1.02 * largest]
    brief = sbn.macroscopic(setup, sides, [0, 1e-5], state)
    name, sign = ("generalization_error", -1) if normalization == "none" else ("overlap", 1)
    below, above = sign * np.diff(brief[name].values, axis=1).ravel()
    assert below > 0 > above


@pytest.mark.parametrize("activation", ["linear", "relu"])
def test_far_from_the_teacher_batch_statistics_allow_more(activation):
    """Between both maxima the chain turns towards the teacher with them, and away without."""
    state, moment = sbn.OrderParameters(0.1), 1e-6
    setups = {name: student(activation, name, batch_size=16) for name in ("weight", "batch")}
    largest = {name: rates.maximum(setup, state) for name, setup in setups.items()}
    if activation == "linear":  # 2MD/(RB), with B = 2 − 2R, or without the mean and slope of δ
        shrinkage = math.gamma(8) / math.gamma(7.5) / math.sqrt(8)  # s_M = E|û·u|
        assert largest["weight"] == pytest.approx(32 * 0.99 / (0.1 * 1.8))
        assert largest["batch"] == pytest.approx(32 * shrinkage * 13 / 14 / 0.1)
    between = float(np.sqrt(largest["weight"] * largest["batch"]))
    for (name, setup), sign in zip(setups.items(), (-1, 1), strict=True):
        run = sbn.mesoscopic(setup, between, [0, moment], state, 10**8, replicas=64)
        moved = sign * run["overlap"].diff("time").values.ravel()
        assert moved.mean() > 5 * moved.std(ddof=1) / 8, name


def test_states_of_every_form_give_the_same():
    setup = student("relu", "batch", label_noise=0.3)
    result = sbn.macroscopic(setup, [0.5, 2], [0, 1, 4], sbn.OrderParameters(0.1))
    found = rates.maximum(setup, result)
    assert found.dims == ("learning_rate", "time")
    assert found.attrs["symbol"] == r"$\eta_\mathrm{max}$"
    arrays = {name: result[name].values for name in ("overlap", "length", "gamma")}
    np.testing.assert_array_equal(rates.maximum(setup, arrays), found)
    one = sbn.OrderParameters(*(float(arrays[n][1, 2]) for n in ("overlap", "length", "gamma")))
    assert rates.maximum(setup, one) == found[1, 2]
    effective = rates.effective(setup, result, result["learning_rate"])
    assert effective.dims == found.dims
    assert effective.attrs["symbol"] == r"$\eta_\mathrm{eff}$"
    expected = result.learning_rate * result.gamma / result.length**2
    np.testing.assert_allclose(effective, expected, rtol=1e-14)
    arrays = {"overlap": 0.1, "length": np.array([1.0, 2.0]), "gamma": 1.0}
    np.testing.assert_allclose(rates.effective(setup, arrays, 3.0), [3.0, 0.75])


def test_states_that_always_or_never_improve():
    setup = student(label_noise=0.5)
    assert rates.maximum(setup, sbn.OrderParameters(-0.2)) == np.inf
    assert rates.maximum(setup, sbn.OrderParameters(0.0)) == np.inf
    assert rates.maximum(setup, sbn.OrderParameters(-1.0)) == np.inf
    assert rates.maximum(setup, sbn.OrderParameters(0.2, gamma=-1.0)) == 0
    assert rates.maximum(setup, sbn.OrderParameters(0.2, gamma=0.0)) == 0
    decayed = student(normalization="none", weight_decay=0.2)  # dL/dt = η(1 − L − λL) < 0
    assert rates.maximum(decayed, sbn.OrderParameters(1.0, 0.9)) == 0
    assert rates.maximum(setup, sbn.OrderParameters(1.0)) < 1e-5


def test_noise_improves_a_saturated_student_that_points_away():
    """Noise adds to L but not to ρ, and so turns tanh(5u) towards R = 0 from below."""
    setup, away = student("tanh", "none", label_noise=0.5), sbn.OrderParameters(-0.5, 5.0)
    assert rates.maximum(setup, away) == np.inf
    brief = sbn.macroscopic(setup, [0.1, 1000.0], [0, 1e-6], away)
    assert (brief["generalization_error"].diff("time") < 0).all()


@pytest.mark.parametrize("length", [1e20, 1e120])
def test_the_longer_an_unnormalized_student_the_closer_to_the_explosion(length):
    setup = student("relu", "none", label_noise=0.5)
    state = {"overlap": 0.3, "length": length}
    assert rates.maximum(setup, state) == pytest.approx(16.0, rel=1e-12)


@pytest.mark.parametrize("activation", UNITS)
def test_maximum_at_the_teacher_is_that_of_the_fixed_point(activation):
    """At Δ = 0 drive and noise vanish together; 2M for linear and ReLU."""
    aligned = sbn.OrderParameters(1.0)
    for normalization in ("none", "weight"):
        setup = student(activation, normalization)
        limit = rates.fixed_point(setup)["maximum_rate"].item()
        assert rates.maximum(setup, aligned) == pytest.approx(limit, rel=1e-3)
        if activation != "tanh":
            assert limit == pytest.approx(16, rel=1e-4)


def test_diverged_states_have_the_rate_of_the_explosion():
    setup = student("relu", "none", batch_size=4, label_noise=0.1)
    result = sbn.macroscopic(setup, [1, 40], [1, 40], sbn.OrderParameters(0.1))
    assert np.isinf(result["length"][1, 1])
    found = rates.maximum(setup, result)
    assert found[1, 1] == 8
    assert np.isfinite(found).all()
    assert rates.effective(setup, result, result["learning_rate"])[1, 1] == 0


@pytest.mark.parametrize(("activation", "explosion"), [("linear", 17.6), ("relu", 19.2)])
def test_diverged_states_of_every_kind(activation, explosion):
    """Far out dL²/dt = L² η (−2E[g'²] − 2λ + η E[g'²]/M): by hand 2M(1 + λ/E[g'²])."""
    gone = {"overlap": math.inf, "length": math.inf}
    none = student(activation, "none", weight_decay=0.1)
    assert rates.maximum(none, gone) == pytest.approx(explosion)
    for name in ("overlap", "length", "gamma"):
        scaled = {"overlap": 0.5, "length": 1.0, "gamma": 1.0, name: math.inf}
        for rule in ("weight", "batch"):
            assert rates.maximum(student(activation, rule, label_noise=0.5), scaled) == math.inf
        assert rates.effective(student(activation), scaled, 1.0) == (name == "overlap")
    assert rates.effective(none, gone, 1.0) == 0


def test_effective_rates_by_hand():
    found = rates.effective(student(normalization="none"), sbn.OrderParameters(length=2.0), 3.0)
    assert (found, type(found)) == (1.5, float)
    point = rates.fixed_point(student(normalization="none", label_noise=0.5), [1.0, 3.0])
    np.testing.assert_allclose(point.effective_rate, point.learning_rate / point.length)
    assert {values.dims[0] for values in point.values()} == {"learning_rate"}


@pytest.mark.parametrize("overlap", [0.3, -0.6])
@pytest.mark.parametrize("gamma", [0.8, -1.4])
@pytest.mark.parametrize("activation", ["linear", "relu", "tanh"])
def test_averages_of_both_signs_by_quadrature(activation, overlap, gamma):
    """D = √(1−R²) E[δ v], A₂ = E[δ u] and B = E[δ²] on a fine grid of (u, v)."""
    function, slope = {
        "linear": (lambda x: x, np.ones_like),
        "relu": (lambda x: np.maximum(x, 0.0), lambda x: np.where(x > 0, 1.0, 0.0)),
        "tanh": (np.tanh, lambda x: 1 - np.tanh(x) ** 2),
    }[activation]
    axis = np.linspace(-8, 8, 802)
    weight = np.exp(-(axis**2) / 2) * (axis[1] - axis[0]) / np.sqrt(2 * np.pi)
    u, v, both = axis[:, None], axis[None, :], np.outer(weight, weight)
    out = math.sqrt(1 - overlap**2)
    error = slope(gamma * u) * (function(overlap * u + out * v) - function(gamma * u))
    noise = np.sum(both * error**2) + 0.25 * np.sum(weight * slope(gamma * axis) ** 2)
    expected = out * np.sum(both * error * v), np.sum(both * error * u), noise
    found = averages(student(activation, label_noise=0.5), np.array(overlap), np.array(gamma))
    np.testing.assert_allclose([float(part) for part in found], expected, rtol=1e-3, atol=1e-4)


def test_fixed_point_without_normalization():
    """Linear: ρ = 1/(1+λ), and at λ = 0 Q = 1 + ηΔ²/(2M − η)."""
    found = rates.fixed_point(student(normalization="none", label_noise=0.5), [1.0, 3.0])
    eta = found.learning_rate
    np.testing.assert_allclose(found.length**2, 1 + 0.25 * eta / (16 - eta), rtol=1e-10)
    np.testing.assert_allclose(found.overlap * found.length, 1, rtol=1e-10)
    assert found.stable.all()
    decayed = student(normalization="none", label_noise=0.5, weight_decay=0.1)
    found = rates.fixed_point(decayed, [1.0, 3.0])
    np.testing.assert_allclose(found.overlap * found.length, 1 / 1.1, rtol=1e-10)
    with pytest.raises(NotConverged, match="learning rate 40"):
        rates.fixed_point(student(normalization="none", label_noise=0.5), 40.0)


@pytest.mark.parametrize("activation", UNITS)
@pytest.mark.parametrize("normalization", ["none", "batch"])
def test_runs_end_at_the_fixed_point(activation, normalization):
    setup = student(activation, normalization, label_noise=0.4, weight_decay=0.2)
    rest = rates.fixed_point(setup, [0.5, 2.0])
    run = sbn.macroscopic(setup, [0.5, 2.0], [150.0], sbn.OrderParameters(0.2)).isel(time=0)
    for name in ("overlap", "length", "gamma"):
        np.testing.assert_allclose(run[name], rest[name], rtol=1e-6, err_msg=name)
    assert rest.stable.all()


def test_stability_is_that_of_the_derived_jacobian():
    """The closed Jacobian of the linear unit, and where its first entry changes sign."""
    for normalization in ("none", "weight", "batch"):
        setup = student(normalization=normalization)
        point = s.fixed_point(normalization, "linear")
        values = {s.M: 8, s.zeta: 0, s.Delta: 0, s.L: 1.5 if normalization != "none" else 1}
        for eta in (1.0, 40.0):
            found = rates.fixed_point(setup, eta, length=1.5)
            exact = point.jacobian.subs({**values, s.eta: eta, s.eta_gamma: eta})
            known = np.sort(np.linalg.eigvals(np.array(exact.evalf(), dtype=float)))[::-1]
            np.testing.assert_allclose(found.eigenvalue[0].values, known, rtol=1e-4)
            largest = float(point.maximum.subs(values))
            assert found.maximum_rate.item() == pytest.approx(largest, rel=1e-4)
            assert found.stable.item() == (eta < largest)


def test_slopes_of_the_averages_at_the_teacher():
    """Differences in arccos R against derivatives of the closed ReLU averages."""
    from statmech_bn.online.rates.fixed_points import _slopes

    drive, pull, noise, _ = s.field_averages("relu")
    for overlap in (0.3, 0.9995, 1.0):
        found = _slopes(student("relu"), overlap, 0.9)
        for symbol, average in ((s.D, drive), (s.A, pull), (s.B, noise)):
            at = min(overlap, 1 - 1e-12)
            known = [
                float(average.diff(argument).subs({s.R: at, s.gamma: 0.9}))
                for argument in (s.R, s.gamma)
            ]
            np.testing.assert_allclose(found[symbol], known, rtol=2e-5, atol=2e-6)


def test_noise_leaves_no_fixed_point():
    found = rates.fixed_point(student("relu", "batch"))  # batch statistics alone are noise
    assert np.isinf(found["length"]).all()
    assert (found["effective_rate"] == 0).all()
    assert 0.9 < found["gamma"].item() < 0.92  # 1 − 3/(4M) + M^(−3/2)/(3π)
    assert rates.fixed_point(student(gamma_decay=0.1))["gamma"].item() == pytest.approx(1 / 1.2)
    noisy = student(label_noise=0.5, gamma_decay=0.1)  # γ̇ = η(R − γ − 2ζγ), and R rests for ever
    found = rates.fixed_point(noisy, [1.0, 3.0])
    np.testing.assert_allclose(found["eigenvalue"], [[0, -1.2], [0, -3.6]], atol=1e-9)
    assert found["stable"].all()
    assert np.isinf(found["maximum_rate"]).all()
    assert rates.late_time(noisy, 1.0)["gamma"].item() == pytest.approx(1 / 1.2)


@pytest.mark.parametrize("activation", UNITS)
@pytest.mark.parametrize("normalization", ["weight", "batch"])
def test_equilibrium_with_weight_decay(activation, normalization):
    setup = student(activation, normalization, label_noise=0.5, weight_decay=0.05)
    rest = rates.equilibrium(setup, [0.5, 2.0])
    noise = averages(setup, rest.overlap.values, rest.gamma.values)[2]
    np.testing.assert_allclose(
        rest.effective_rate, np.sqrt(2 * 8 * rest.learning_rate * 0.05 / noise), rtol=1e-12
    )
    expected = rates.effective(setup, rest, rest.learning_rate)
    np.testing.assert_allclose(rest.effective_rate, expected, rtol=1e-12)
    again = student(activation, normalization, label_noise=0.5, weight_decay=0.0125)
    other = rates.equilibrium(again, [2.0, 8.0])  # the same products
    for name in ("overlap", "gamma", "effective_rate"):
        np.testing.assert_allclose(rest[name], other[name], rtol=1e-8)


@pytest.mark.parametrize("normalization", ["weight", "batch"])
def test_runs_with_strong_decay_end_at_the_equilibrium(normalization):
    setup = student("tanh", normalization, label_noise=0.5, weight_decay=0.1)
    rest = rates.equilibrium(setup, [100.0, 300.0])
    run = sbn.macroscopic(setup, [100.0, 300.0], [10.0], sbn.OrderParameters(0.2)).isel(time=0)
    for name in ("overlap", "length", "gamma"):
        np.testing.assert_allclose(run[name], rest[name], rtol=1e-6, err_msg=name)
    assert rest.attrs == setup.to_attrs()


def test_the_equilibrium_of_a_linear_unit_at_every_decay():
    """By hand γ = R and (1 − R²)² = R² ηλ(1 + Δ² − R²)/(2M)."""
    setup = student(label_noise=0.5, weight_decay=0.1)
    rest = rates.equilibrium(setup, [1e-3, 1.0, 1e3, 1e6, 1e9])
    square = rest.overlap**2
    expected = square * 0.1 * rest.learning_rate * (1.25 - square) / 16
    np.testing.assert_allclose((1 - square) ** 2, expected, rtol=1e-9)
    np.testing.assert_allclose(rest.gamma, rest.overlap, rtol=1e-9)
    with pytest.raises(NotConverged, match="no overlap"):  # R is 1 but for rounding
        rates.equilibrium(setup, 1e-40)


def test_weak_decay_follows_the_limit():
    setup = student(label_noise=0.5, weight_decay=1e-8)
    rest = rates.equilibrium(setup, 1.0)
    limit = s.equilibrium("weight")[s.misalignment]
    known = limit.subs({s.B: 0.25, s.drive_slope: 2, s.eta: 1, s.lamda: 1e-8, s.M: 8})
    assert 1 - rest.overlap.item() == pytest.approx(float(known), rel=1e-3)


@pytest.mark.thorough
@pytest.mark.parametrize(("normalization", "activation"), [("weight", "relu"), ("batch", "linear")])
def test_late_time_is_the_derived_law(normalization, activation):
    setup = student(activation, normalization, label_noise=0.5)
    found = rates.late_time(setup, [10.0, 1000.0])
    law = s.late_time(normalization, activation)
    assert {found[name].dims for name in found if name != "gamma"} == {("time",)}
    for k, t in enumerate([10.0, 1000.0]):
        values = {s.M: 8, s.Delta: 0.5, s.zeta: 0, s.eta: 1, s.t: t}
        known = {symbol: float(e.subs(values)) for symbol, e in law.items()}
        corrected = found.misalignment[k] * (1 + found.correction[k])
        assert found.effective_rate[k] == pytest.approx(known[s.eta_eff], rel=1e-9)
        assert found.length_per_root_rate[k] == pytest.approx(known[s.L], rel=1e-9)
        assert corrected == pytest.approx(known[s.misalignment], rel=1e-4)


def test_table_of_numbers():
    found = rates.table(4, gamma_decay=0.05, length=1.5)
    assert found["gamma"].dims == ("activation", "student")
    assert found["activation"].values.tolist() == ["linear", "relu"]
    assert set(found.student.values) == set(s.rate_table.STUDENTS)
    exact = found.sel(student="batch")
    assert exact.maximum_rate[0] == pytest.approx(2 * 4 * 1 / 2 * 1.5**2)
    assert exact.gamma[0] == pytest.approx(float(s.spread_moment(1).subs(s.M, 4)))
    relu = rates.fixed_point(student("relu", "batch", batch_size=4))
    assert exact.gamma[1] == pytest.approx(relu.gamma.item())
    assert np.isinf(exact.length[1])
    np.testing.assert_allclose(exact.effective_rate, exact.gamma / 1.5**2)
    assert (found.overlap.sel(student="batch") == 1).all()
    assert found.attrs["batch_size"] == 4
    assert found.attrs["gamma_decay"] == 0.05
    assert found.sel(student="weight").effective_rate[0] == pytest.approx(1 / 1.5**2)
    assert found.gamma.attrs["symbol"] == r"$\gamma$"


def test_bad_arguments_are_named():
    setup = student(label_noise=0.5)
    with pytest.raises(InvalidSetup, match="length"):
        rates.maximum(setup, {"overlap": 0.1, "gamma": 1.0})
    with pytest.raises(InvalidSetup, match="entries gamma"):
        rates.maximum(setup, {"overlap": 0.1, "length": 1.0})
    matrices = sbn.OrderParameters(student_teacher=[[0.5]], student_student=[[1.0]])
    with pytest.raises(InvalidSetup, match=r"^start: expected one unit"):
        rates.effective(setup, matrices, 1.0)
    with pytest.raises(InvalidSetup, match="overlap"):
        rates.maximum(setup, {"overlap": 1.1, "length": 1.0, "gamma": 1.0})
    with pytest.raises(InvalidSetup, match="state"):
        rates.maximum(setup, {"overlap": [0.1, 0.2], "length": [1.0] * 3, "gamma": 1.0})
    with pytest.raises(InvalidSetup, match="state"):
        rates.maximum(setup, 0.3)
    with pytest.raises(InvalidSetup, match="setup"):
        rates.maximum("weight", STATE)
    with pytest.raises(InvalidSetup, match="learning_rate"):
        rates.effective(setup, STATE, 0.0)
    with pytest.raises(InvalidSetup, match="learning_rate"):
        rates.fixed_point(setup, [1.0, -1.0])
    with pytest.raises(InvalidSetup, match="length"):
        rates.fixed_point(setup, 1.0, length=0.0)
    with pytest.raises(InvalidSetup, match="weight_decay"):
        rates.equilibrium(setup, 1.0)
    with pytest.raises(InvalidSetup, match="noise at R = 1"):
        rates.late_time(student(), [1.0])
    with pytest.raises(InvalidSetup, match=r"^normalization: "):
        rates.late_time(student(normalization="none"), [1.0])
    with pytest.raises(InvalidSetup, match=r"^inputs: "):
        rates.late_time(setup, [1.0], inputs=[1.0, 2.0])
    with pytest.raises(InvalidSetup, match="weight_decay"):
        rates.late_time(student(label_noise=0.5, weight_decay=0.1), [1.0])
    for times in ([2.0, 1.0], [1.0, 1.0]):
        with pytest.raises(InvalidSetup, match="time"):
            rates.late_time(setup, times)
    for state in ({"overlap": 0.1, "length": 0.0, "gamma": 1.0},
                  {"overlap": math.nan, "length": 1.0, "gamma": 1.0}):  # fmt: skip
        with pytest.raises(InvalidSetup, match="lengths > 0"):
            rates.maximum(setup, state)
    with pytest.raises(InvalidSetup, match="batch_size"):
        rates.table(3)
    with pytest.raises(InvalidSetup, match="length"):
        rates.table(8, length=1e60)
    with pytest.raises(InvalidSetup, match="gamma_decay"):
        rates.table(8, gamma_decay=-0.1)
    assert rates.late_time(setup, 3.0)["time"].values == [3.0]
    assert rates.late_time(setup, [3.0, 3.5])["time"].values.tolist() == [3.0, 3.5]


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        (rates.effective, ({"overlap": 0.4, "length": 1.3, "gamma": 0.8}, 1.0)),
        (rates.equilibrium, (1.0,)),
        (rates.fixed_point, (1.0,)),
        (rates.late_time, (1.0,)),
    ],
)
def test_what_is_of_one_unit_refuses_committees(function, arguments):
    committee = student("erf", label_noise=0.5, student_units=2, teacher_units=2)
    with pytest.raises(InvalidSetup, match="one unit on each side"):
        function(committee, *arguments)
