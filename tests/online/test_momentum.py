"""Heavy balls: chain and N weights, plain learning, growing rates and equilibria."""

import numpy as np
import pytest

import statmech_bn as sbn
from statmech_bn.errors import InvalidSetup
from statmech_bn.online.momentum import equilibrium_angle, growth_for_decay, heavy_ball

START = sbn.OrderParameters(overlap=0.2, gamma=0.7)
SHAPES = ["overlap", "length", "gamma", "angle"]


def setup(normalization, **more):
    return sbn.TeacherStudent("relu", normalization, 6, label_noise=0.3, **more)


def start_of(normalization):
    return START if normalization != "none" else sbn.OrderParameters(overlap=0.2)


def moments(values):
    """Mean and standard deviation over replicas, with the standard errors of both."""
    spread, kurtosis = values.std(), 3 * values.std() ** 4
    fourth = max(np.mean((values - values.mean()) ** 4), kurtosis / 3)
    error = np.sqrt(max(fourth - spread**4, 0.0) / values.size) / (2 * max(spread, 1e-300))
    return np.array([values.mean(), spread]), np.array([spread / np.sqrt(values.size), error])


@pytest.mark.parametrize("normalization", ["none", "weight", "batch"])
def test_the_chain_has_the_law_of_the_weights(normalization):
    """N = 4: one direction is left besides those of w*, w and p; 8 or 16 comparisons each."""
    given = setup(normalization, weight_decay=0.3)
    arguments = (given, 0.4, 0.7, [0.5, 2.5], start_of(normalization), 4, 1500, 1)
    chain, weights = (
        heavy_ball(*arguments, level=level, growth=1.2, velocity=-0.1)
        for level in ("mesoscopic", "microscopic")
    )
    for name in SHAPES[: 2 if normalization == "none" else 4]:
        for k in range(2):
            (a, da), (b, db) = (
                moments(found[name].isel(learning_rate=0, time=k).values)
                for found in (chain, weights)
            )
            assert (np.abs(a - b) < 4.2 * np.hypot(da, db)).all(), (name, k)


@pytest.mark.parametrize("normalization", ["none", "weight", "population", "batch"])
def test_without_momentum_it_is_the_chain_of_gradient_descent(normalization):
    decay = {} if normalization == "none" else {"gamma_decay": 0.4}
    given, start = setup(normalization, weight_decay=0.3, **decay), start_of(normalization)
    ball = heavy_ball(given, 0.3, 0.0, [2.0], start, 10, 1500, 1)
    chain = sbn.mesoscopic(given, 0.3, [2.0], start, 10, 1500, seed=2, workers=1)
    for name in SHAPES[: 2 if normalization == "none" else 3]:
        (a, da), (b, db) = (moments(found[name].values.ravel()) for found in (ball, chain))
        assert (np.abs(a - b) < 4.2 * np.hypot(da, db)).all(), name


def test_a_plain_loop_makes_the_same_steps():
    """One student without normalization, drawn from the same stream."""
    from statmech_bn.random.streams import stream

    given = sbn.TeacherStudent("linear", "none", 3, weight_decay=0.4)
    found = heavy_ball(given, 0.3, 0.6, [0.5, 2.0], START_LINEAR, 6, 1, 7, level="microscopic")
    generator = stream(7, 6, True, 3)
    teacher, other = generator.standard_normal((2, 6))
    teacher /= np.linalg.norm(teacher)
    other -= (other @ teacher) * teacher
    w = 0.2 * teacher + np.sqrt(0.96) * other / np.linalg.norm(other)
    p, square = np.zeros(6), []
    for _ in range(12):
        before = w
        x = generator.standard_normal((1, 6, 3))[0].T
        generator.standard_normal((1, 3))
        p = 0.6 * p - 0.3 / 6 * 0.4 * w + 0.3 / 6 * ((x @ teacher - x @ w) / 3) @ x
        w = w + p
        cosine = w @ before / np.linalg.norm(w) / np.linalg.norm(before)
        square.append(np.arccos(cosine) ** 2)
    angles = np.sqrt([np.mean(square[:3]), np.mean(square[3:])])
    np.testing.assert_allclose(found["angle"].values[0, 0], angles, rtol=1e-6)
    assert found["length"].values[0, 0, -1] == pytest.approx(np.linalg.norm(w), rel=1e-12)
    cosine = w @ teacher / np.linalg.norm(w)
    assert found["overlap"].values[0, 0, -1] == pytest.approx(cosine, rel=1e-12)


START_LINEAR = sbn.OrderParameters(overlap=0.2)


@pytest.mark.parametrize("beta", [0.5, 0.9])
def test_large_systems_follow_the_flow_at_the_larger_rate(beta):
    """The difference is a lag of β/((1−β)N) and of order 1/N: a tenth at ten times the size."""
    given = sbn.TeacherStudent("linear", "weight", 8, label_noise=0.3)
    flow = sbn.macroscopic(given, 1.0, [1.0], START, workers=1)["overlap"].item()
    apart = []
    for size in (100, 1000):
        run = heavy_ball(given, 1 - beta, beta, [1.0], START, size, 400 if size == 100 else 60, 3)
        values = run["overlap"].values.ravel()
        apart.append((values.mean() - flow, values.std() / np.sqrt(values.size)))
    assert abs(apart[1][0]) < 4 * apart[1][1] + 0.15 * abs(apart[0][0])
    if beta == 0.9:
        assert apart[0][0] < -4 * apart[0][1]


@pytest.mark.parametrize("normalization", ["weight", "batch"])
@pytest.mark.parametrize("beta", [0.0, 0.8])
def test_growing_rates_equal_weight_decay(normalization, beta):
    size = {"time": [1.0, 8.0], "start": START, "dimension": 20, "replicas": 3, "seed": 4}
    size["level"] = "microscopic"
    decayed = heavy_ball(setup(normalization, weight_decay=0.4), 0.3, beta, **size)
    first, growth, other, velocity = growth_for_decay(0.3, 0.4, beta, 20)
    grown = heavy_ball(
        setup(normalization), first, other, growth=growth, velocity=velocity,
        gamma_learning_rate=0.3, gamma_momentum=beta, **size,
    )  # fmt: skip
    for name in ("overlap", "gamma"):
        np.testing.assert_allclose(grown[name].values, decayed[name].values, rtol=1e-9)
    steps = np.array([20, 160])
    longer = grown["length"].values / decayed["length"].values
    np.testing.assert_allclose(longer, np.broadcast_to((1 - velocity) ** -steps, (1, 3, 2)))


def test_growing_rates_without_momentum_have_a_closed_form():
    assert growth_for_decay(2.0, 0.5, 0.0, 10) == pytest.approx((2 / 0.9, 0.9**-2, 0.0, 0.1))


def test_the_angle_at_rest():
    """Strong label noise keeps B constant; half a per cent is what is of higher order in ηλ/N."""
    given = sbn.TeacherStudent("linear", "weight", 8, label_noise=2.0, weight_decay=0.2)
    rest = sbn.rates.equilibrium(given, 1.0).isel(learning_rate=0)
    start = sbn.OrderParameters(*(float(rest[name]) for name in ("overlap", "length", "gamma")))
    for beta in (0.0, 0.8):
        run = heavy_ball(given, 1 - beta, beta, [4.0, 30.0], start, 50, 40, 5)
        square = run["angle"].isel(learning_rate=0, time=1).values ** 2
        expected = equilibrium_angle(1 - beta, 0.2, beta, 50) ** 2
        error = square.std() / np.sqrt(square.size)
        assert abs(square.mean() - expected) < 4 * error + 0.01 * expected


@pytest.mark.parametrize("level", ["mesoscopic", "microscopic"])
def test_nothing_has_turned_at_time_zero(level):
    start = sbn.OrderParameters(-0.8, 1.3, 0.7)
    run = heavy_ball(setup("weight"), 0.1, 0.5, [0.0, 1.0], start, 10, level=level)
    assert run["angle"].values[0, 0, 0] == 0 < run["angle"].values[0, 0, 1]
    chain = sbn.mesoscopic(setup("weight"), 0.1, [0.0], start, 10)
    error = run["generalization_error"].values[0, 0, 0]
    assert error == pytest.approx(chain["generalization_error"].item())
    np.testing.assert_allclose([run[name].values[0, 0, 0] for name in SHAPES[:3]], [-0.8, 1.3, 0.7])


@pytest.mark.parametrize("overlap", [1.0, -1.0])
def test_rounding_leaves_cosines_in_their_range(overlap):
    start = sbn.OrderParameters(overlap)
    run = heavy_ball(setup("weight"), 0.1, 0.5, [0.0], start, 10, 200, level="microscopic")
    assert np.abs(run["overlap"]).max() == 1


def test_the_last_finite_length_is_below_the_largest():
    """It is recorded after every step, and grows by no more than a hundred in one."""
    given = sbn.TeacherStudent("linear", "none", 2)
    run = heavy_ball(given, 30.0, 0.9, np.arange(1, 501) / 10, START_LINEAR, 10, 8)
    assert np.unique(run["diverged_at"]).size > 1  # each student on its own
    for lengths, moment in zip(run["length"].values[0], run["diverged_at"].values[0], strict=True):
        first = int(np.argmax(np.isinf(lengths)))
        assert run["time"].values[first] == pytest.approx(moment)
        assert 1e147 < lengths[first - 1] < 1e150
        assert np.isinf(lengths[first:]).all()


@pytest.mark.parametrize("learning_rate", [30.0, 1e200])
def test_divergence_is_a_result(learning_rate):
    given = sbn.TeacherStudent("linear", "none", 2)
    run = heavy_ball(given, learning_rate, 0.9, [0.1, 50.0], START_LINEAR, 10, 2)
    assert np.isinf(run["length"].values[..., -1]).all()
    assert (run["diverged_at"] > 0).all()


@pytest.mark.parametrize(
    "odd",
    [
        {"momentum": 1.0}, {"momentum": -0.1}, {"dimension": 3}, {"level": "macroscopic"},
        {"growth": 0.0}, {"learning_rate": [0.1, 0.2]}, {"gamma_momentum": 1.5}, {"growth": 5.0},
        {"setup": sbn.TeacherStudent("linear", "ghost(4)", 8)},
        {"start": sbn.OrderParameters.of_blocks([0.1, 0.1], [0.5, 0.5])}, {"time": [1e12]},
    ],
)  # fmt: skip
def test_odd_arguments_are_refused(odd):
    good = {
        "setup": setup("weight"), "learning_rate": 0.1, "momentum": 0.5, "time": [30.0],
        "start": START, "dimension": 10,
    }  # fmt: skip
    with pytest.raises(InvalidSetup, match=next(iter(odd))):
        heavy_ball(**{**good, **odd})


@pytest.mark.parametrize(("decay", "beta"), [(0.1, 0.9), (10.0, 0.0)])
def test_decay_beyond_which_there_are_no_growing_rates(decay, beta):
    """Above (1 − √β)²N/η the weights oscillate; at β = 0 a step with ηλ = N sets them to 0."""
    with pytest.raises(InvalidSetup, match="weight_decay"):
        growth_for_decay(1.0, decay, beta, 10)


def test_a_run_says_what_made_it():
    run = heavy_ball(setup("weight"), 0.1, 0.5, [0.0], START, 10, seed=3, growth=1.1)
    assert run.attrs.items() >= {"dimension": 10, "seed": 3, "momentum": 0.5, "growth": 1.1}.items()
