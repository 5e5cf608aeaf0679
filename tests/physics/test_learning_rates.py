"""Which learning rates diverge, and what becomes of the others: theory, flow and chain."""

import numpy as np
import pytest
from scipy.optimize import brentq

import statmech_bn as sbn

DECADES = [0.3, 3.0, 30.0]
FAR_OUT = sbn.OrderParameters(overlap=0.05, length=1e50)


def student(activation, normalization, batch_size=8, **more):
    return sbn.TeacherStudent(activation, normalization, batch_size, **{"label_noise": 0.5, **more})


def explosion(activation, batch_size, dimension, seed, duration=0.5):
    """Bisect for the η at which a long student neither grows nor shrinks."""
    setup = student(activation, "none", batch_size)

    def growth(log_rate):
        run = sbn.mesoscopic(setup, np.exp(log_rate), [duration], FAR_OUT, dimension, seed=seed)
        return np.log(run.length.item() / 1e50)

    return np.exp(brentq(growth, np.log(batch_size), np.log(4 * batch_size), xtol=1e-4))


@pytest.mark.thorough
@pytest.mark.parametrize("batch_size", [1, 8, 32])
@pytest.mark.parametrize("activation", ["linear", "relu"])
def test_vanilla_explodes_at_its_maximum(activation, batch_size):
    """N = 10⁴; the typical growth of one run, which is that of the mean to O(1/N)."""
    law = sbn.symbolic.divergence_learning_rate(activation)
    maximum = float(law.subs({sbn.symbolic.M: batch_size, sbn.symbolic.lamda: 0}))
    measured = [explosion(activation, batch_size, 10_000, seed) for seed in range(4)]
    assert np.mean(measured) == pytest.approx(maximum, rel=0.01)


def test_explosion_at_finite_dimension():
    """Linear, L → ∞: E Q'/Q = 1 − 2a + a²(N + M + 1)/M with a = η/N, so η = 2MN/(N + M + 1)."""
    measured = np.array([explosion("linear", 32, 1000, seed) for seed in range(12)])
    expected = 2 * 32 * 1000 / 1033
    # log Q grows by less than log E Q: by half the variance of a step, of order 1/N of the rate
    error = measured.std(ddof=1) / np.sqrt(measured.size)
    assert abs(measured.mean() - expected) < 4 * error + 0.002 * expected
    assert abs(measured.mean() - 64) > 20 * error


@pytest.mark.parametrize("activation", ["linear", "relu"])
def test_vanilla_from_an_ordinary_start(activation):
    """Ten per cent to either side of 2M: the error stays of order one, or explodes."""
    setup = student(activation, "none")
    rates = [0.9 * 16, 1.1 * 16]
    run = sbn.mesoscopic(setup, rates, [60.0], sbn.OrderParameters(), 1000, replicas=4)
    calm, wild = run.generalization_error.values[..., 0]
    assert calm.max() < 10
    assert wild.min() > 1e20


@pytest.mark.parametrize("label_noise", [0.0, 0.5])
@pytest.mark.parametrize("activation", ["linear", "relu"])
@pytest.mark.parametrize("normalization", ["weight", "batch"])
def test_normalized_students_never_diverge(normalization, activation, label_noise):
    setup = student(activation, normalization, label_noise=label_noise)
    rates, begin = np.geomspace(1e2, 1e6, 5), sbn.OrderParameters()
    scale_rate = 1.0  # the step of γ is not normalized
    chain = sbn.mesoscopic(setup, rates, [1.0, 3.0], begin, 10_000, 2, 0, scale_rate)
    flow = sbn.macroscopic(setup, rates, [1.0, 3.0], begin, scale_rate)
    for run in (chain, flow):
        assert run.diverged_at.isnull().all()
        assert (run.generalization_error < 1).all()
    assert (flow.overlap.isel(time=-1) > 0.9).all()


@pytest.mark.parametrize(("normalization", "batch_size"), [("weight", 2), ("batch", 8)])
def test_the_chain_turns_back_at_the_maximum(normalization, batch_size):
    """E ΔR is aη − bη² in one step: the root of the chain's is η_max, N = 10⁵."""
    setup = student("linear", normalization, batch_size)
    start = sbn.OrderParameters(0.9, 1.5, 0.8)
    largest = sbn.rates.maximum(setup, start)
    etas = largest * np.array([0.5, 1.0, 1.5])
    dimension, replicas = 100_000, 64
    run = sbn.mesoscopic(setup, etas, [2e-3], start, dimension, replicas, seed=4)
    drift = ((run.overlap.values[..., 0] - 0.9) / etas[:, None] / 2e-3).T
    slopes = (drift[:, 2] - drift[:, 0]) / (etas[2] - etas[0])
    roots = etas[1] - drift[:, 1].mean() / slopes.mean()
    error = drift[:, 1].std(ddof=1) / np.sqrt(replicas) / abs(slopes.mean())
    assert abs(roots - largest) < 4 * error + 0.01 * largest
    assert error < 0.1 * largest


@pytest.fixture(scope="module")
def late():
    """Flows up to t = 10⁵."""
    time = np.geomspace(1, 1e5, 26)
    return {
        (normalization, activation): sbn.macroscopic(
            student(activation, normalization), DECADES, time, sbn.OrderParameters()
        )
        for normalization in ("weight", "batch")
        for activation in ("linear", "relu")
    }


@pytest.mark.parametrize("activation", ["linear", "relu"])
@pytest.mark.parametrize("normalization", ["weight", "batch"])
def test_three_decades_of_learning_rates_end_on_one_line(late, normalization, activation):
    run = late[normalization, activation]
    setup = student(activation, normalization)
    law = sbn.rates.late_time(setup, run.time.values).isel(time=-1)
    last = run.isel(time=-1)
    effective = sbn.rates.effective(setup, last, last.learning_rate)
    np.testing.assert_allclose(effective, law.effective_rate.item(), rtol=0.01)
    np.testing.assert_allclose(1 - last.overlap, law.misalignment.item(), rtol=0.01)
    lengths = last.length / np.sqrt(last.learning_rate)
    np.testing.assert_allclose(lengths, law.length_per_root_rate.item(), rtol=0.01)
    assert effective.max() / effective.min() - 1 < 0.005


def test_what_is_left_of_the_asymptote_is_its_next_order(late):
    """ReLU, η = 30: the correction of order t^(−1/4) explains 1 − R to O(t^(−1/2))."""
    run = late["weight", "relu"].sel(learning_rate=30, time=slice(1e4, None))
    law = sbn.rates.late_time(student("relu", "weight"), run.time.values)
    relative = (1 - run.overlap) / law.misalignment - 1
    assert (relative > 0.004).all()
    left = relative - law.correction
    assert (abs(left) < 0.2 * law.correction).all()
    scaled = (left * np.sqrt(run.time)).values
    assert np.ptp(scaled) < 0.1 * abs(scaled.mean())


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("normalization", "activation"), [("weight", "linear"), ("batch", "linear"), ("batch", "relu")]
)
def test_late_time_of_the_chain(normalization, activation):
    """Extrapolated in 1/N from two dimensions, within four standard errors of the flow."""
    setup = student(activation, normalization)
    time, start, scale_rate, replicas = [30.0, 100.0], sbn.OrderParameters(0.9), 1.0, 200
    rates = [3.0, 30.0]
    flow = sbn.macroscopic(setup, rates, time, start, scale_rate)
    runs = [
        sbn.mesoscopic(setup, rates, time, start, dimension, replicas, seed, scale_rate)
        for seed, dimension in enumerate((80, 40))
    ]
    for quantity in (
        lambda run: 1 - run.overlap,
        lambda run: sbn.rates.effective(setup, run, run.learning_rate),
    ):
        values = [quantity(run) for run in runs]
        means = [value.mean("replica") for value in values]
        errors = [value.std("replica", ddof=1) / np.sqrt(replicas) for value in values]
        difference = 2 * means[0] - means[1] - quantity(flow)
        error = np.sqrt(4 * errors[0] ** 2 + errors[1] ** 2)
        assert (abs(difference) < 4 * error).all()
        assert (error < 0.05 * quantity(flow)).all()


@pytest.mark.parametrize("activation", ["linear", "relu"])
@pytest.mark.parametrize("normalization", ["weight", "batch"])
def test_equal_products_of_rate_and_decay_collapse(normalization, activation):
    product, scale_rate = 0.05, 1.0
    ends = []
    for rate in DECADES:
        setup = student(activation, normalization, weight_decay=product / rate)
        run = sbn.macroscopic(setup, rate, [120.0], sbn.OrderParameters(), scale_rate)
        last = run.isel(time=0, learning_rate=0)
        effective = sbn.rates.effective(setup, last, rate).item()
        ends.append([effective, 1 - last.overlap.item(), last.length.item() / np.sqrt(rate)])
    ends = np.array(ends)
    assert (np.ptp(ends, axis=0) < 0.001 * ends.mean(axis=0)).all()
    rest = sbn.rates.equilibrium(setup, DECADES[-1])
    np.testing.assert_allclose(ends[:, 0], rest.effective_rate.item(), rtol=0.001)


def test_chain_at_the_equilibrium():
    """Averages over time, extrapolated in 1/N; three η of one ηλ."""
    product, replicas, time = 0.1, 24, np.linspace(40, 120, 41)
    for rate in DECADES:
        setup = student("linear", "batch", weight_decay=product / rate)
        rest = sbn.rates.equilibrium(setup, rate)
        means, errors = [], []
        for seed, dimension in enumerate((80, 40)):
            run = sbn.mesoscopic(
                setup, rate, time, sbn.OrderParameters(0.9), dimension, replicas, seed, 1.0
            )
            value = (1 - run.overlap).mean("time").values.ravel()
            means.append(value.mean())
            errors.append(value.std(ddof=1) / np.sqrt(replicas))
        error = np.hypot(2 * errors[0], errors[1])
        expected = 1 - rest.overlap.item()
        assert abs(2 * means[0] - means[1] - expected) < 4 * error + 0.01 * expected
        assert error < 0.05 * expected
