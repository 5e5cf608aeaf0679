"""N-vector simulation: inputs of any kind, determinism, divergence, identities of the step."""

import numpy as np
import pytest
import sympy as sp
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import statmech_bn as sbn
from statmech_bn.activations import z
from statmech_bn.codegen import numba_array_function
from statmech_bn.errors import InvalidSetup
from statmech_bn.online.network.step import Learners, Samples, Task, learn
from statmech_bn.online.problem import Pace, Problem
from statmech_bn.random.streams import stream

START = sbn.OrderParameters(0.3, 1.2, 0.8)
SETUP = sbn.TeacherStudent("relu", "batch", 5, label_noise=0.3, gamma_decay=0.02, weight_decay=0.1)
NAMES = ("none", "weight", "population", "batch")
CONSTANT = np.array([0.0, 1.0]), np.ones((1, 1))  # pieces of the schedule s = 1


def plain_step(setup, samples, noise, teacher, weights, gamma, rate, mean=0.0, covariance=None):
    """One step of one learner by automatic differentiation in SymPy's absence: central differences.

    The gradient of the mean loss with respect to each weight, from the definition of φ alone.
    """
    root = np.sqrt(weights.size)
    g = sp.lambdify(z, setup.activation.expression, "scipy")

    def loss(w, scale):
        fields = samples @ w / root
        if setup.normalization == "weight":
            fields = fields / (np.linalg.norm(w) / root)
        elif setup.normalization in ("batch", "ghost(3)"):
            size = 3 if setup.normalization == "ghost(3)" else fields.size
            groups = fields.reshape(-1, size)
            groups = groups - groups.mean(axis=1, keepdims=True)
            fields = (groups / groups.std(axis=1, keepdims=True)).ravel()
        elif setup.normalization == "population":
            matrix = np.eye(w.size) if covariance is None else covariance
            fields = (fields - w @ mean / root) / np.sqrt(w @ matrix @ w / w.size)
        if setup.normalization != "none":
            fields = scale * fields
        labels = g(samples @ teacher / root) + noise
        return 0.5 * np.mean((labels - g(fields)) ** 2)

    change = 1e-6
    gradient = np.array(
        [
            (loss(weights + change * e, gamma) - loss(weights - change * e, gamma)) / (2 * change)
            for e in np.eye(weights.size)
        ]
    )
    by_gamma = (loss(weights, gamma + change) - loss(weights, gamma - change)) / (2 * change)
    decayed = (1 - rate * setup.weight_decay / weights.size) * weights
    new_gamma = gamma - rate / weights.size * (by_gamma + 2 * setup.gamma_decay * gamma)
    if setup.normalization == "none":
        new_gamma = gamma
    return decayed - rate * gradient, new_gamma


def step(setup, samples, noise, teacher, weights, gamma, rates, mean=None, covariance=None):
    """One compiled step of all learners, in place."""
    g, dimension = setup.activation, weights.shape[1]
    task = Task(
        numba_array_function([g.expression], z),
        numba_array_function([g.expression, g.derivative], z),
        teacher,
        np.empty(0) if mean is None else mean,
        np.empty((0, 0)) if covariance is None else covariance,
    )
    learn(
        np.random.default_rng(0),
        Samples(True, samples[None], noise[None]),
        Problem.of(setup, dimension),
        Pace(rates, rates, *CONSTANT),
        task,
        Learners(weights, gamma, np.full(gamma.size, np.nan)),
        0,
    )


@pytest.mark.parametrize(
    ("normalization", "general", "batch_size", "learners"),
    [(name, False, *sizes) for name in NAMES for sizes in ((5, 2), (5, 1))]
    + [(name, False, 1, 2) for name in NAMES[:3]]
    + [("population", True, *sizes) for sizes in ((5, 2), (5, 1), (1, 1))]
    + [("ghost(3)", False, *sizes) for sizes in ((9, 2), (3, 1))],
)
def test_step_is_the_gradient_of_the_loss(normalization, general, batch_size, learners):
    generator = np.random.default_rng(1)
    dimension, rates = 6, np.array([0.7, 3.0])[:learners]
    decay = 0.0 if normalization == "none" else 0.05
    setup = sbn.TeacherStudent("erf", normalization, batch_size, 0.2, decay, 0.1)
    gamma = np.full(learners, 1.0 if normalization == "none" else 0.8)
    mixing = generator.standard_normal((dimension, dimension))
    mean, covariance = generator.standard_normal(dimension), mixing @ mixing.T
    samples = generator.standard_normal((batch_size, dimension))
    if general:
        samples = mean + samples @ mixing.T
    noise = 0.2 * generator.standard_normal(batch_size)
    teacher, first = generator.standard_normal((2, dimension))
    weights = np.tile(first, (learners, 1))
    expected = [
        plain_step(setup, samples, noise, teacher, first, gamma[0], rate,
                   mean if general else np.zeros(dimension), covariance if general else None)
        for rate in rates
    ]  # fmt: skip
    moments = (mean, covariance) if general else ()
    step(setup, samples, noise, teacher, weights, gamma, rates, *moments)
    for k in range(learners):
        np.testing.assert_allclose(weights[k], expected[k][0], atol=2e-8)
        np.testing.assert_allclose(gamma[k], expected[k][1], atol=2e-8)


@given(seed=st.integers(0, 10**6), batch_size=st.integers(3, 9))
def test_batch_gradient_sums_vanish(seed, batch_size):
    """Σ c = 0 and Σ c h = 0: the step is blind to a common shift and orthogonal to w."""
    generator = np.random.default_rng(seed)
    dimension = 12
    samples = generator.standard_normal((batch_size, dimension))
    weights = generator.standard_normal((1, dimension))
    before = weights.copy()
    setup, teacher = sbn.TeacherStudent("relu", "batch", batch_size), np.ones(dimension)
    step(setup, samples, np.zeros(batch_size), teacher, weights, np.ones(1), np.ones(1))
    moved = (weights - before)[0]
    c = np.linalg.lstsq(samples.T, moved, rcond=None)[0]
    scale = np.abs(c).max() + 1e-300
    assert abs(c.sum()) < 1e-9 * scale * batch_size
    assert abs(moved @ before[0]) < 1e-10 * np.linalg.norm(moved) * np.linalg.norm(before)


def test_results_do_not_depend_on_workers_or_company():
    run = {"time": [0.0, 1.0, 3.0], "start": START, "dimension": 11, "seed": 5}
    one = sbn.microscopic(SETUP, [0.5, 2.0], replicas=5, workers=1, **run)
    two = sbn.microscopic(SETUP, [0.5, 2.0], replicas=5, workers=2, **run)
    xr.testing.assert_identical(one, two)
    fewer = sbn.microscopic(SETUP, [0.5, 2.0], replicas=2, **run)
    xr.testing.assert_identical(one.isel(replica=slice(0, 2)), fewer)
    other = sbn.microscopic(SETUP, [0.5, 2.0], replicas=5, **{**run, "seed": 6})
    assert not np.allclose(one.overlap[:, :, -1], other.overlap[:, :, -1])


def test_recording_more_often_changes_nothing():
    """Blocks of samples end where times are recorded; the stream must not notice."""
    often = sbn.microscopic(SETUP, 1.0, np.linspace(0, 3, 34), START, 11, seed=5)
    seldom = sbn.microscopic(SETUP, 1.0, [3.0], START, 11, seed=5)
    np.testing.assert_array_equal(often.overlap[..., -1], seldom.overlap[..., -1])


def test_divergence_is_a_result():
    setup = sbn.TeacherStudent("linear", "none", 2, label_noise=0.1)
    found = sbn.microscopic(setup, [0.5, 50.0], np.linspace(0, 200, 9), sbn.OrderParameters(), 20)
    calm, wild = found.isel(replica=0, learning_rate=0), found.isel(replica=0, learning_rate=1)
    assert np.isnan(calm.diverged_at)
    assert np.isfinite(calm.generalization_error).all()
    assert 0 < wild.diverged_at < 200
    before = wild.time < wild.diverged_at
    for name in ("overlap", "length", "gamma", "generalization_error"):
        assert np.isfinite(wild[name][before]).all()
        assert np.isposinf(wild[name][~before]).all()


def laplace(generator, samples, dimension):
    return generator.laplace(scale=np.sqrt(0.5), size=(samples, dimension))


def test_gaussian_callable_agrees_with_the_default():
    """Drawn by NumPy through a callable, the same law: means within 4 standard errors."""

    def normal(generator, samples, dimension):
        return generator.standard_normal((samples, dimension))

    run = {"learning_rate": 1.0, "time": [2.0], "start": START, "dimension": 20, "replicas": 300}
    default = sbn.microscopic(SETUP, **run)
    drawn = sbn.microscopic(SETUP, inputs=normal, **{**run, "seed": 1})
    for name in ("overlap", "length", "gamma", "generalization_error"):
        a, b = default[name].values.ravel(), drawn[name].values.ravel()
        error = np.sqrt(a.var(ddof=1) / a.size + b.var(ddof=1) / b.size)
        # both ε_g use the same definition, one exact and one from 4000 samples (1.6 % noise)
        allowed = 4 * error + (0.02 * a.mean() if name == "generalization_error" else 0)
        assert abs(a.mean() - b.mean()) < allowed, name
    assert drawn.attrs["inputs"] == "normal"


def test_population_statistics_remove_mean_and_covariance():
    """A population-normalized linear student sees whitened fields: γ goes to the true spread."""
    mean, covariance = np.full(10, 3.0), np.linspace(0.5, 2.0, 10)

    def shifted(generator, samples, dimension):
        return mean + np.sqrt(covariance) * generator.standard_normal((samples, dimension))

    setup = sbn.TeacherStudent("linear", "population", 20)
    found = [
        sbn.microscopic(setup, 1.0, [0.0, 40.0], START, 10, inputs=inputs, seed=3)
        for inputs in (
            sbn.Inputs(shifted, mean, covariance),
            sbn.Inputs(shifted, mean, np.diag(covariance)),
            sbn.Inputs(shifted),
        )
    ]
    np.testing.assert_allclose(found[0].overlap, found[1].overlap, rtol=1e-9)
    # estimated from 20000 samples: 1 % moments, and the trajectory follows to that order
    np.testing.assert_allclose(found[0].overlap, found[2].overlap, atol=0.03)


def test_real_data_are_resampled():
    data = np.random.default_rng(0).standard_t(5, size=(200, 8))
    setup = sbn.TeacherStudent("relu", "population", 10, label_noise=0.1)
    found = sbn.microscopic(setup, [0.5, 1.0], [0, 20.0], START, 8, replicas=2, inputs=data)
    error = found.generalization_error
    assert (error.isel(time=-1) < error.isel(time=0)).all()
    assert found.attrs["inputs"] == "data"
    assert (
        sbn.microscopic(
            setup, 0.5, [0.0], START, 8, inputs=sbn.Inputs(laplace, name="Laplace")
        ).attrs["inputs"]
        == "Laplace"
    )


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        (np.ones((5, 3)), r"rows of 8 numbers"),
        (np.ones(5), "finite array of shape"),
        (np.full((5, 8), np.nan), "finite array"),
        (lambda generator, samples, dimension: np.ones((dimension, samples)), "block of shape"),
        (lambda *_: "x", "inputs"),
    ],
)
@pytest.mark.parametrize("time", [[1.0], [0.0, 1.0]])
def test_inputs_are_checked(inputs, words, time):
    with pytest.raises(InvalidSetup, match=words):
        sbn.microscopic(SETUP, 1.0, time, START, 8, inputs=inputs)


def test_own_labels_are_learned_by_gradient_descent_on_them():
    """A loop over the same rows, and what least squares of NumPy says of the teacher."""
    generator = np.random.default_rng(5)
    data = generator.standard_normal((50, 6)) * np.linspace(1, 2, 6)
    labels = np.sign(data @ [1, 0, 2, 0, 0, -1]) + 0.5 * generator.standard_normal(50)
    solved = np.linalg.lstsq(data, labels, rcond=None)[0]
    solved /= np.linalg.norm(solved)
    setup, time = sbn.TeacherStudent("linear", "none", 4), np.arange(0, 11) / 6
    given = {"dimension": 6, "inputs": data, "seed": 3}
    found = sbn.microscopic(setup, 0.7, time, sbn.OrderParameters(0.2, 0.8), labels=labels, **given)
    origin, samples = (stream(3, 2, 0, part) for part in (0, 1))
    _, other = origin.standard_normal((2, 6))
    other -= (other @ solved) * solved
    w = 0.8 * np.sqrt(6) * (0.2 * solved + np.sqrt(0.96) * other / np.linalg.norm(other))
    unit = np.linalg.norm(np.linalg.lstsq(data, labels, rcond=None)[0])  # |w*| = √N
    for step in range(11):
        assert float(found.overlap[0, 0, step]) == pytest.approx(w @ solved / np.linalg.norm(w))
        assert float(found.length[0, 0, step]) == pytest.approx(np.linalg.norm(w) / np.sqrt(6))
        rows = samples.integers(50, size=4)
        error = labels[rows] / unit - data[rows] @ w / np.sqrt(6)
        w = w + 0.7 / np.sqrt(6) * error @ data[rows] / 4


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"teacher": np.ones(6)}, "labels make the teacher"),
        ({"inputs": None}, "array of data"),
        ({"setup": sbn.TeacherStudent("relu", "none", 4)}, "linear student"),
        ({"labels": np.ones(49)}, "50 numbers"),
        ({"dimension": 7}, "inputs"),
    ],
)
def test_own_labels_are_checked(changed, words):
    generator = np.random.default_rng(0)
    call = {
        "setup": sbn.TeacherStudent("linear", "none", 4), "learning_rate": 0.1, "time": [1.0],
        "start": sbn.OrderParameters(0.1), "dimension": 6, "labels": generator.normal(size=50),
        "inputs": generator.normal(size=(50, 6)),
    }  # fmt: skip
    with pytest.raises(InvalidSetup, match=f"(?i){words}"):
        sbn.microscopic(**call | changed)


def test_moments_come_in_pairs():
    with pytest.raises(InvalidSetup, match="both mean and covariance"):
        sbn.Inputs(laplace, mean=np.zeros(3))
    setup = sbn.TeacherStudent("linear", "population", 5)
    for mean, covariance in ((np.zeros(3), np.ones(8)), (np.zeros(8), np.ones((8, 3)))):
        with pytest.raises(InvalidSetup, match=r"inputs\.(mean|covariance): expected"):
            sbn.microscopic(
                setup, 1.0, [1.0], START, 8, inputs=sbn.Inputs(laplace, mean, covariance)
            )


def test_unknown_devices_and_precisions_are_refused():
    with pytest.raises(InvalidSetup, match="device: expected one of cpu, cuda, got 'tpu'"):
        sbn.microscopic(SETUP, 1.0, [1.0], START, 8, device="tpu")
    with pytest.raises(InvalidSetup, match="dtype: expected one of float64, float32"):
        sbn.microscopic(SETUP, 1.0, [1.0], START, 8, dtype="float16")


def test_a_given_teacher_is_looked_at():
    """A student that starts along its teacher sees the component that the teacher sees."""
    setup, start = sbn.TeacherStudent("linear", "batch", 4), sbn.OrderParameters(1.0, 1.0, 1.0)
    inputs = sbn.Inputs(lambda g, m, n: g.standard_normal((m, n)) * [3.0, 1.0, 1.0, 1.0])
    given = {"teacher": [2.0, 0, 0, 0], "inputs": inputs, "dimension": 4}
    found = sbn.microscopic(setup, 1e-9, [0.0, 400.0], start, replicas=4, **given)
    final = found.gamma.isel(time=-1)
    assert found.overlap.min() > 1 - 1e-12
    # γ stops at 3 s_4, s_4 = √(1/2) Γ(2)/Γ(3/2); a single γ fluctuates by about 0.5
    assert np.abs(final - 3 * 0.7979).max() < 1.5
    assert final.std() > 0
    again = sbn.microscopic(setup, 1e-9, [400.0], start, replicas=4, **given, seed=1)
    assert (again.gamma.isel(time=0) != final).all()


@pytest.mark.parametrize("teacher", [[1.0, 0.0], np.zeros(5), [np.nan, 1, 1, 1, 1]])
def test_a_teacher_that_is_none_is_refused(teacher):
    with pytest.raises(InvalidSetup, match="teacher"):
        sbn.microscopic(SETUP, 1.0, [1.0], START, 5, teacher=teacher)


@pytest.mark.parametrize(
    ("moments", "message"),
    [
        ((np.full(6, np.nan), np.ones(6)), "mean"),
        ((np.zeros(6), -np.ones(6)), "semidefinite"),
        ((np.zeros(6), np.triu(np.ones((6, 6)))), "symmetric"),
        ((np.zeros(6), np.ones(5)), "shape"),
        ((np.zeros(6), "a"), "covariance"),
        ((np.zeros(6), np.eye(6) - 2 * np.diag([1.0, 0, 0, 0, 0, 0])), "semidefinite"),
    ],
)
def test_moments_that_no_distribution_has_are_refused(moments, message):
    with pytest.raises(InvalidSetup, match=message):
        sbn.Inputs(lambda generator, m, n: generator.standard_normal((m, n)), *moments)


def test_what_is_no_number_is_named():
    def broken(generator, samples, dimension):
        block = generator.standard_normal((samples, dimension))
        block[0, 0] = np.nan
        return block

    run = {"time": [0, 1.0], "start": START, "dimension": 6}
    with pytest.raises(InvalidSetup, match=r"inputs.*finite"):
        sbn.microscopic(SETUP, 1.0, inputs=broken, **run)
    with pytest.raises(InvalidSetup, match="inputs"):
        sbn.Inputs("abc")
    with pytest.raises(InvalidSetup, match="teacher"):
        sbn.microscopic(SETUP, 1.0, teacher="abc", **run)


@pytest.mark.parametrize("level", [sbn.mesoscopic, sbn.microscopic])
@pytest.mark.parametrize(("time", "dimension"), [([0, 2.0**60], 1000), ([0, 1e9], 10**12)])
def test_steps_beyond_counting_are_refused(level, time, dimension):
    with pytest.raises(InvalidSetup, match=r"time × dimension.*(steps|years)"):
        level(SETUP, 1.0, time, START, dimension)


@pytest.mark.parametrize("seed", [1, 2])
def test_the_error_on_data_is_that_on_all_rows(seed):
    """A student of half the teacher's length, and rows with heavy tails, which a draw misses."""
    rows = np.random.default_rng(0).standard_t(3, (500, 6))
    teacher = np.arange(1.0, 7)
    fields = rows @ teacher / np.linalg.norm(teacher)
    found = sbn.microscopic(
        sbn.TeacherStudent("relu", "none", 4), 0.1, [0.0], sbn.OrderParameters(1.0, 0.5), 6,
        replicas=2, seed=seed, inputs=rows, teacher=teacher,
    )  # fmt: skip
    expected = np.mean((0.5 * np.maximum(fields, 0)) ** 2) / 2
    np.testing.assert_allclose(found["generalization_error"].squeeze(), expected, rtol=1e-12)
