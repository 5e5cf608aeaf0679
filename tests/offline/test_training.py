"""Training on finite sets: the step, determinism, divergence, data, arguments."""

import importlib

import array_api_strict
import numpy as np
import pytest
import sympy as sp
import xarray as xr

import statmech_bn as sbn
from statmech_bn.activations import z
from statmech_bn.averages.generalization import generalization_error
from statmech_bn.codegen import array_function
from statmech_bn.errors import InvalidSetup
from statmech_bn.offline import training_step
from statmech_bn.offline.inference_error import inference_error

SETUP = sbn.TeacherStudent("relu", "batch", 5, label_noise=0.3, gamma_decay=0.02, weight_decay=0.1)
RUN = {"load": [0.7, 1.5], "learning_rate": [0.5, 2.0], "dimension": 30, "epochs": 4, "seed": 5}
NAMES = ("none", "weight", "population", "batch")


def plain_epoch(setup, samples, labels, weights, gamma, rate, decay, mean, covariance):
    """One learner, one step after the other, gradients by central differences of the loss."""
    dimension, size = weights.size, setup.batch_size
    root = np.sqrt(dimension)
    g = sp.lambdify(z, setup.activation.expression, "scipy")

    def loss(w, scale, x, y):
        fields = x @ w / root
        if setup.normalization == "weight":
            fields = fields / (np.linalg.norm(w) / root)
        elif setup.normalization == "batch":
            fields = (fields - fields.mean()) / fields.std()
        elif setup.normalization == "population":
            fields = (fields - w @ mean / root) / np.sqrt(w @ covariance @ w / dimension)
        if setup.normalization != "none":
            fields = scale * fields
        return 0.5 * np.mean((y - g(fields)) ** 2)

    step = 1e-5
    for first in range(0, len(labels) // size * size, size):
        batch = samples[first : first + size], labels[first : first + size]
        gradient = [
            (loss(weights + step * e, gamma, *batch) - loss(weights - step * e, gamma, *batch))
            for e in np.eye(dimension)
        ]
        slope = loss(weights, gamma + step, *batch) - loss(weights, gamma - step, *batch)
        weights = (1 - rate * decay) * weights - rate * np.array(gradient) / (2 * step)
        if setup.normalization != "none":
            pull = slope / (2 * step) + 2 * setup.gamma_decay * gamma
            gamma = gamma - rate / dimension * pull
    return weights, gamma


@pytest.mark.parametrize("activation", ["linear", "erf"])
@pytest.mark.parametrize(
    ("normalization", "general"), [(name, False) for name in NAMES] + [("population", True)]
)
def test_an_epoch_is_gradient_descent(normalization, general, activation):
    """Four batches of three in one group, two data sets, and two samples that are left over."""
    generator = np.random.default_rng(1)
    dimension, size, rates, decay = 5, 14, np.array([0.4, 2.0]), 0.03
    gamma_decay = 0.0 if normalization == "none" else 0.05
    setup = sbn.TeacherStudent(activation, normalization, 3, gamma_decay=gamma_decay)
    mixing = generator.standard_normal((dimension, dimension))
    mean, covariance = np.zeros(dimension), np.eye(dimension)
    samples = generator.standard_normal((2, size, dimension))
    if general:
        mean, covariance = generator.standard_normal(dimension), mixing @ mixing.T
        samples = mean + samples @ mixing.T
    labels = generator.standard_normal((2, size, 1))
    weights = generator.standard_normal((2, dimension, 2))
    gamma = np.full((2, 1, 2), 1.0 if normalization == "none" else 0.8)
    order = np.stack([generator.permutation(size) for _ in range(2)])
    expected = [
        [
            plain_epoch(setup, samples[r][order[r]], labels[r][order[r], 0], weights[r, :, k],
                        gamma[r, 0, k], rates[k], decay, mean, covariance)
            for k in range(2)
        ]
        for r in range(2)
    ]  # fmt: skip
    g = setup.activation
    problem = training_step.Problem(
        setup.normalizer, 3, gamma_decay, decay,
        array_function(np, [g.expression, g.derivative], [z]),
        (samples - mean) / np.sqrt(dimension), labels, covariance if general else None,
    )  # fmt: skip
    gamma = training_step.epoch(np, problem, order, weights, gamma, rates, rates)
    for r in range(2):
        for k in range(2):
            np.testing.assert_allclose(weights[r, :, k], expected[r][k][0], rtol=1e-7, atol=1e-8)
            np.testing.assert_allclose(gamma[r, 0, k], expected[r][k][1], rtol=1e-8)


@pytest.mark.parametrize("normalization", NAMES)
def test_groups_change_nothing_but_rounding(normalization, monkeypatch):
    setup = sbn.TeacherStudent("relu", normalization, 5, label_noise=0.3, weight_decay=0.1)
    grouped = sbn.offline.train(setup, **RUN)
    monkeypatch.setattr(training_step, "GROUP", 1)
    xr.testing.assert_allclose(grouped, sbn.offline.train(setup, **RUN), rtol=1e-10)


def test_results_do_not_depend_on_workers_or_company():
    one = sbn.offline.train(SETUP, replicas=5, workers=1, **RUN)
    xr.testing.assert_identical(one, sbn.offline.train(SETUP, replicas=5, workers=2, **RUN))
    fewer = sbn.offline.train(SETUP, replicas=2, **{**RUN, "load": 1.5})
    xr.testing.assert_identical(one.sel(load=[1.5], replica=[0, 1]), fewer)
    alone = sbn.offline.train(SETUP, replicas=5, **{**RUN, "learning_rate": 2.0})
    xr.testing.assert_allclose(one.sel(learning_rate=[2.0]), alone, rtol=1e-10)
    other = sbn.offline.train(SETUP, replicas=5, **{**RUN, "seed": 6})
    assert not np.isclose(one.overlap, other.overlap).any()


def test_students_of_one_seed_share_their_data():
    """Before the first epoch only the normalization differs, so R and L are the same."""
    found = [
        sbn.offline.train(sbn.TeacherStudent("linear", name, 5), **{**RUN, "epochs": 0})
        for name in ("none", "batch")
    ]
    xr.testing.assert_identical(found[0].overlap, found[1].overlap)


def test_initial_weights_are_a_dimension():
    start = sbn.OrderParameters(0.3, 1.2, 0.8)
    many = sbn.offline.train(SETUP, start=start, initializations=3, history=[0, 4], **RUN)
    assert many.overlap.dims == ("load", "learning_rate", "replica", "initialization", "epoch")
    first = many.isel(epoch=0)
    for name, value in (("overlap", 0.3), ("length", 1.2), ("gamma", 0.8), ("growth", 1.0)):
        np.testing.assert_allclose(first[name], value, rtol=1e-12)
    last = many.isel(epoch=-1).overlap
    assert not np.isclose(last.isel(initialization=0), last.isel(initialization=1)).any()
    one = sbn.offline.train(SETUP, start=start, **RUN)
    xr.testing.assert_allclose(last.isel(initialization=0, drop=True), one.overlap.assign_coords(
        epoch=4), rtol=1e-10)  # fmt: skip


def test_history_is_that_of_shorter_runs():
    every = sbn.offline.train(SETUP, history=True, **RUN)
    np.testing.assert_array_equal(every.epoch, np.arange(5))
    short = sbn.offline.train(SETUP, **{**RUN, "epochs": 2})
    xr.testing.assert_identical(every.isel(epoch=2, drop=True).drop_attrs(), short.drop_attrs())


def test_schedule_multiplies_the_learning_rates():
    half = sbn.offline.train(SETUP, schedule=lambda done: 0.25, **RUN)
    direct = sbn.offline.train(SETUP, **{**RUN, "learning_rate": [0.125, 0.5]})
    for name in ("overlap", "length", "gamma", "training_loss"):
        np.testing.assert_allclose(half[name], direct[name], rtol=1e-10)
    stopped = sbn.offline.train(SETUP, schedule=lambda done: float(done < 0.5), **RUN)
    short = sbn.offline.train(SETUP, **{**RUN, "epochs": 2})
    np.testing.assert_array_equal(stopped.overlap, short.overlap)


def test_batch_normalization_never_shortens():
    setup = sbn.TeacherStudent("relu", "batch", 5, label_noise=0.3)
    growth = sbn.offline.train(setup, history=True, **RUN).growth
    assert (growth.diff("epoch") > 0).all()


def test_divergence_is_a_result():
    setup = sbn.TeacherStudent("linear", "none", 2, label_noise=0.1)
    found = sbn.offline.train(setup, 1.5, [0.5, 50.0], 20, epochs=40, history=True).squeeze()
    calm, wild = found.isel(learning_rate=0), found.isel(learning_rate=1)
    assert np.isnan(calm.diverged_at)
    assert 0 < wild.diverged_at < 40
    before = wild.epoch < wild.diverged_at
    for name in ("overlap", "length", "growth", "training_loss", "generalization_error"):
        assert np.isfinite(calm[name]).all()
        assert np.isfinite(wild[name][before]).all()
        assert np.isposinf(wild[name][~before]).all()
    alone = sbn.offline.train(setup, 1.5, 0.5, 20, epochs=40).squeeze()
    np.testing.assert_allclose(calm.overlap[-1], alone.overlap, rtol=1e-10)
    assert found.diverged_at.attrs["units"] == "epochs"


def test_single_precision_is_close_to_double():
    double = sbn.offline.train(SETUP, **RUN)
    single = sbn.offline.train(SETUP, dtype="float32", **RUN)
    np.testing.assert_allclose(single.generalization_error, double.generalization_error, rtol=1e-4)
    assert not (single.overlap == double.overlap).any()


@pytest.mark.parametrize(
    "activation",
    ["linear", *(pytest.param(g, marks=pytest.mark.thorough) for g in ("relu", "erf"))],
)
@pytest.mark.parametrize("normalization", NAMES)
def test_any_array_library_trains(normalization, activation, monkeypatch):
    """The strict library of the standard, where a GPU's would stand: equal to rounding."""
    setup = sbn.TeacherStudent(activation, normalization, 5, label_noise=0.3, weight_decay=0.1)
    runs = [{**RUN, "replicas": 3}, {**RUN, "dimension": 8, "load": 5, "inputs": DATA}]
    wanted = [sbn.offline.train(setup, history=True, **run) for run in runs]
    module = importlib.import_module("statmech_bn.offline.training")
    monkeypatch.setattr(module, "namespace", lambda device: array_api_strict)
    for run, expected in zip(runs, wanted, strict=True):
        found = sbn.offline.train(setup, history=True, device="cuda", **run)
        xr.testing.assert_allclose(found, expected, rtol=1e-9)
        assert found.attrs["array_library"].startswith("array_api_strict")


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("normalization", NAMES)
def test_a_gpu_trains_on_the_same_data_in_the_same_order(normalization, dtype):
    setup = sbn.TeacherStudent("erf", normalization, 5, label_noise=0.3, weight_decay=0.1)
    for run in ({**RUN, "replicas": 3}, {**RUN, "dimension": 8, "load": 5, "inputs": DATA}):
        wanted, found, again = (
            sbn.offline.train(setup, history=True, device=device, dtype=dtype, **run)
            for device in ("cpu", "cuda", "cuda")
        )
        tolerance = 1e-9 if dtype == "float64" else 1e-3
        xr.testing.assert_allclose(found, wanted, rtol=tolerance, atol=tolerance)
        xr.testing.assert_identical(found, again)
        assert found.attrs["array_library"].startswith("cupy")


@pytest.mark.gpu
def test_a_gpu_diverges_as_the_cpu_does():
    setup = sbn.TeacherStudent("linear", "none", 2, label_noise=0.1)
    wanted, found = (
        sbn.offline.train(setup, 1.5, [0.5, 50.0], 20, epochs=40, device=device)
        for device in ("cpu", "cuda")
    )
    np.testing.assert_array_equal(found.diverged_at, wanted.diverged_at)
    xr.testing.assert_allclose(found, wanted, rtol=1e-8)


def test_the_attributes_say_how_it_was_made():
    found = sbn.offline.train(SETUP, **RUN)
    assert sbn.TeacherStudent.from_attrs(found.attrs) == SETUP
    assert found.attrs["level"] == "offline"
    assert found.attrs["epochs"] == 4
    assert found.generalization_error.attrs["symbol"] == r"$\varepsilon_g$"
    np.testing.assert_array_equal(found.samples, [21, 45])


@pytest.mark.parametrize("name", ["relu", "erf"])
def test_error_of_a_biased_student(name):
    """Against Monte Carlo, within 4 standard errors; without bias, against the online levels."""
    setup = sbn.TeacherStudent(name, "batch", 10)
    overlap, scale, bias = np.array([0.6, -0.3, 1.0]), np.array([0.9, 1.5, 0.7]), np.array([0.4,
        -0.2, 0.1])  # fmt: skip
    found = inference_error(setup, overlap, scale, bias)
    u, v = np.random.default_rng(0).standard_normal((2, 400_000, 1))
    g = sp.lambdify(z, setup.activation.expression, "scipy")
    loss = 0.5 * (g(overlap * u + np.sqrt(1 - overlap**2) * v) - g(scale * u + bias)) ** 2
    assert (abs(found - loss.mean(axis=0)) < 4 * loss.std(axis=0) / np.sqrt(u.size)).all()
    nearly = inference_error(setup, overlap, scale, 1e-9 + 0 * bias)
    exact = generalization_error(setup, overlap, scale, scale)
    np.testing.assert_allclose(nearly, exact, atol=1e-8)
    np.testing.assert_array_equal(inference_error(setup, overlap, scale, 0 * bias), exact)


def test_bias_of_a_linear_student_adds_its_square():
    setup = sbn.TeacherStudent("linear", "batch", 10)
    one = np.ones(1)
    np.testing.assert_allclose(inference_error(setup, one, one, 0.3 * one), 0.045)


DATA = np.random.default_rng(0).standard_t(5, size=(120, 8)) + 0.5


@pytest.mark.parametrize("normalization", NAMES)
def test_real_data_are_learned(normalization):
    setup = sbn.TeacherStudent("linear", normalization, 10, label_noise=0.1)
    found = sbn.offline.train(setup, [2.5, 10], 2.0, 8, replicas=3, epochs=60, inputs=DATA,
                              history=[0, 60])  # fmt: skip
    error = found.generalization_error
    assert (error.isel(epoch=1) < 0.2 * error.isel(epoch=0)).all()
    assert found.attrs["inputs"] == "data"


def test_true_labels_replace_the_teacher():
    labels = DATA @ np.arange(8) / 4 + 1.0
    setup = sbn.TeacherStudent("linear", "batch", 10)
    found = sbn.offline.train(setup, 5, 1.0, 8, epochs=300, inputs=DATA, labels=labels)
    assert "overlap" not in found
    # without an offset of its own the student cannot do better than half the squared mean
    assert 0.4 * labels.mean() ** 2 < found.generalization_error < 0.8 * labels.mean() ** 2
    found = sbn.offline.train(
        setup, 5, 1.0, 8, epochs=300, inputs=DATA, labels=labels - labels.mean()
    )
    assert found.generalization_error < 0.05 * labels.var()


@pytest.mark.parametrize("normalization", ["none", "batch"])
def test_digits(normalization):
    """Odd or even, from 8 × 8 pixels: held-out rows, with the true labels and with a teacher."""
    datasets = pytest.importorskip("sklearn.datasets")
    pixels, digit = datasets.load_digits(return_X_y=True)
    pixels = pixels[:, pixels.std(axis=0) > 0.5]
    pixels = (pixels - pixels.mean(axis=0)) / pixels.std(axis=0)
    setup = sbn.TeacherStudent("linear", normalization, 20)
    run = {"load": 15, "learning_rate": 1.0, "dimension": pixels.shape[1], "epochs": 40}
    labelled = sbn.offline.train(setup, inputs=pixels, labels=2.0 * (digit % 2) - 1, **run)
    assert labelled.generalization_error < 0.3  # 0.5 for a student that always says 0
    taught = sbn.offline.train(setup, inputs=pixels, **run)
    assert taught.overlap > 0.9
    assert taught.generalization_error < 0.1 * labelled.generalization_error


def test_inputs_from_a_callable():
    def laplace(generator, samples, dimension):
        return generator.laplace(scale=np.sqrt(0.5), size=(samples, dimension))

    setup = sbn.TeacherStudent("linear", "population", 10)
    drawn = sbn.offline.train(setup, 3, 3.0, 10, epochs=60, inputs=laplace)
    assert drawn.generalization_error < 0.05


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"load": 0.1}, "batch_size: expected at most the 3 samples"),
        ({"load": [1.0, -1.0]}, "load: expected finite numbers > 0"),
        ({"load": "big"}, "load: expected finite numbers"),
        ({"epochs": -1}, "epochs"),
        ({"device": "tpu"}, "device: expected one of cpu, cuda"),
        ({"dtype": "int8"}, "dtype"),
        ({"ridge": 0.1}, r"ridge: .*gamma_decay"),
        ({"initializations": 0}, "initializations"),
        ({"history": [2, 1]}, "history: expected increasing"),
        ({"history": [9]}, "history: expected increasing"),
        ({"schedule": lambda done: -1.0}, "schedule"),
        ({"learning_rate": 0.0}, "learning_rate"),
        ({"inputs": DATA}, r"inputs: expected 30 components"),
        ({"inputs": DATA, "dimension": 8, "load": 15}, "fewer samples than the 120 rows"),
        ({"inputs": DATA, "dimension": 8, "load": 5, "labels": [1.0]}, "labels: expected 120"),
        ({"labels": np.ones(3)}, "labels: expected inputs that are an array"),
    ],
)
def test_bad_arguments_are_named(change, words):
    with pytest.raises(InvalidSetup, match=words):
        sbn.offline.train(SETUP, **{**RUN, **change})
