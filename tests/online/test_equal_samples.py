"""A batch of equal samples makes no step; a tiny but true spread is learned from."""

import importlib

import numpy as np
import pytest

import statmech_bn as sbn
from statmech_bn.normalization.batch import products_of_fields, statistics
from statmech_bn.online.network import step
from statmech_bn.online.network.world import World
from statmech_bn.random.streams import stream

pytestmark = pytest.mark.thorough

EPSILON = {name: float(np.finfo(name).eps) for name in ("float64", "float32")}


def onehot(generator, samples, dimension):
    return np.eye(dimension)[generator.integers(dimension, size=samples)]


def signs(generator, samples, dimension):
    return generator.choice([-1.0, 1.0], size=(samples, dimension))


def equal(generator, samples, dimension):
    return np.repeat(0.1 + generator.random((1, dimension)), samples, axis=0)


def spreads(x, weights, dtype):
    """σ_B of the fields of samples (M, N) and weights (K, N): compiled, and as array code."""
    x, weights = x.astype(dtype), weights.astype(dtype)
    fields = x @ weights.T
    products = products_of_fields(np, x[None], weights.T[None])[0, 0]
    mean = lambda h: h.mean(axis=0)  # noqa: E731
    _, variance = statistics(np, fields.astype(float), EPSILON[dtype], products, mean)
    compiled = [
        step.statistics(fields[:, k], 1.0, EPSILON[dtype], products[k])[1]
        for k in range(len(weights))
    ]
    return np.array(compiled), np.sqrt(variance)


@pytest.mark.parametrize("dtype", EPSILON)
@pytest.mark.parametrize("samples", [3, 7, 1000])
@pytest.mark.parametrize("dimension", [3, 50, 3001, 20001])
def test_rounding_is_no_spread(dimension, samples, dtype):
    generator = np.random.default_rng(dimension)
    samples = min(samples, 4_000_000 // dimension)
    normal = generator.standard_normal((2, dimension))
    ones = np.ones(dimension)
    cases = [(normal[0], normal), (abs(normal[0]), abs(normal)), (ones, np.full_like(normal, 0.1))]
    for x, w in cases:
        batch = np.repeat(x[None], samples, axis=0)
        for length in (1e-12, 1.0, 1e12):
            for units in (w[:1], w):
                for found in spreads(batch, length * units, dtype):
                    assert np.isinf(found).all()


@pytest.mark.parametrize(("dtype", "share"), [("float64", 1e-10), ("float32", 1e-2)])
def test_a_tiny_spread_counts(dtype, share):
    """Samples that differ by a share of their length, in double precision by 10⁻¹⁰."""
    generator = np.random.default_rng(1)
    x = generator.standard_normal(200) + share * generator.standard_normal((5, 200))
    weights = generator.standard_normal((2, 200))
    true = (x.astype(dtype).astype(float) @ weights.astype(dtype).astype(float).T).std(axis=0)
    for found in spreads(x, weights, dtype):
        np.testing.assert_allclose(found, true, rtol=1e-3)


@pytest.fixture
def simulate(monkeypatch):
    """Run `microscopic` compiled, or as array code."""
    module = importlib.import_module("statmech_bn.online.microscopic")

    def run(as_arrays, *arguments, **more):
        with monkeypatch.context() as patch:
            if as_arrays:
                patch.setattr(module, "namespace", lambda device: np)
                more["device"] = "cuda"
            return sbn.microscopic(*arguments, **more)

    return run


@pytest.mark.parametrize("as_arrays", [False, True], ids=["compiled", "arrays"])
@pytest.mark.parametrize("dtype", EPSILON)
@pytest.mark.parametrize("normalization", ["batch", "ghost(4)"])
def test_equal_samples_move_nothing(simulate, normalization, dtype, as_arrays):
    setup = sbn.TeacherStudent("relu", normalization, 8, label_noise=0.5)
    start = sbn.OrderParameters(0.3, 2.0, 0.7)
    for rates in (5.0, [0.5, 5.0]):
        run = simulate(
            as_arrays, setup, rates, [0, 1, 20], start, 33, replicas=2, inputs=equal, dtype=dtype
        )
        for name, value in start.to_dict().items():
            np.testing.assert_allclose(run[name], value, rtol=1e-6)
        assert np.isfinite(run.generalization_error).all()


def own_length(inputs, setup, eta, dimension, replica, start, steps, seed):
    """Length of a student by a plain loop in which samples are equal if they are bit for bit."""
    origin, draws, noise = (stream(seed, 2, replica, part) for part in range(3))
    world = World.prepare(setup, dimension, sbn.Inputs(inputs), None, seed)
    teacher, w = world.teacher_and_start(origin, start)
    gamma, size = start.gamma, setup.batch_size
    for _ in range(steps):
        x = inputs(draws, size, dimension)
        y = np.maximum(0, x @ teacher / np.sqrt(dimension))
        y = y + setup.label_noise * noise.standard_normal(size)
        if (x == x[0]).all():
            continue
        h = x @ w / np.sqrt(dimension)
        u = (h - h.mean()) / h.std()
        delta = (gamma * u > 0) * (y - np.maximum(0, gamma * u))
        c = delta - delta.mean() - u * (delta * u).mean()
        w = w + eta / np.sqrt(dimension) * gamma / (size * h.std()) * c @ x
        gamma += eta / dimension * (delta * u).mean()
    return np.linalg.norm(w) / np.sqrt(dimension)


@pytest.mark.parametrize("as_arrays", [False, True], ids=["compiled", "arrays"])
@pytest.mark.parametrize("size", [3, 4, 8, 40])
@pytest.mark.parametrize("inputs", [onehot, signs])
def test_a_run_is_that_of_a_plain_loop(simulate, inputs, size, as_arrays):
    start, dimension, replicas = sbn.OrderParameters(0.1), 20 if inputs is onehot else 4, 10
    setup = sbn.TeacherStudent("relu", "batch", size, label_noise=0.1)
    time = [0, 400 / dimension]
    run = simulate(as_arrays, setup, 0.3, time, start, dimension, replicas, 3, inputs=inputs)
    own = [own_length(inputs, setup, 0.3, dimension, k, start, 400, 3) for k in range(replicas)]
    np.testing.assert_allclose(run.length[0, :, -1], own, rtol=1e-6)
    assert np.isnan(run.diverged_at).all()


@pytest.mark.parametrize("dtype", EPSILON)
@pytest.mark.parametrize("size", [3, 12])
def test_training_on_equal_rows_moves_nothing(size, dtype):
    rows = np.repeat(0.1 + np.random.default_rng(2).random((1, 30)), 25, axis=0)
    setup = sbn.TeacherStudent("relu", "batch", size, label_noise=0.5)
    found = sbn.offline.train(
        setup, 0.8, [0.3, 30.0], 30, epochs=5, inputs=rows, dtype=dtype,
        start=sbn.OrderParameters(0.2, 1.5, 0.6),
    )  # fmt: skip
    for name, value in (("overlap", 0.2), ("length", 1.5), ("gamma", 0.6)):
        np.testing.assert_allclose(found[name], value, rtol=1e-5)
    assert np.isfinite(found.generalization_error).all()
    assert np.isfinite(found.training_loss).all()
