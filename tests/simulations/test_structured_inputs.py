"""What a spectrum does to learning times, and what Gaussian inputs leave out, in a tiny run."""

import importlib
from pathlib import Path

import numpy as np
import pytest

import statmech_bn as sbn
from statmech_bn import study

pytestmark = pytest.mark.thorough

FOLDER = Path(__file__).parents[2] / "simulations"
SIZES = {
    "exponents": (0.0, 2.0), "dimension": 300, "replicas": 4, "duration": 40.0, "repeats": 4,
    "images_duration": 5.0,
}  # fmt: skip


@pytest.fixture(scope="module")
def script():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(FOLDER)
        module = importlib.import_module("structured_inputs")
        patch.setattr(module, "NORMALIZATIONS", ("none", "weight"))
        patch.setattr(module, "TASKS", {"relu": "ReLU", "labels": "linear, own labels"})
        patch.setattr(module, "SETS", {"digits": "digits"})
        yield module


@pytest.fixture(scope="module")
def tree(script, tmp_path_factory):
    store = tmp_path_factory.mktemp("structured_inputs") / "structured_inputs.zarr"
    with study.results(script, script.Options(**SIZES, store=store)) as tree:
        yield tree


def test_a_first_passage_is_interpolated(script):
    time = np.array([0.0, 1.0, 3.0])
    found = script.first_passage(np.exp(-time), time, np.exp(-2))
    assert found == pytest.approx(2.0)
    assert np.isnan(script.first_passage(np.exp(-time), time, np.exp(-4)))


@pytest.mark.parametrize(
    ("name", "samples", "components"), [("digits", 1797, 41), ("mnist", 5000, 321)]
)
def test_images_are_centred_and_keep_the_shape_of_their_covariance(
    script, name, samples, components, monkeypatch
):
    monkeypatch.setattr(script, "SETS", {"digits": "digits", "mnist": "mnist-5000"})
    images = script.images(name)
    assert images.shape == (samples, components)
    np.testing.assert_allclose(images.mean(axis=0), 0.0, atol=1e-12)
    assert np.mean((images @ script.teacher(name)) ** 2) == pytest.approx(1.0)
    assert script.spectrum("erf", name).teacher_variance == pytest.approx(1.0, abs=1e-12)
    pixels = script.pixels(script.SETS[name])
    values = np.linalg.svd(pixels - pixels.mean(axis=0), compute_uv=False) ** 2
    assert values[: components - 1].sum() < 0.99 * values.sum() <= values[:components].sum()
    np.testing.assert_allclose(
        (images**2).sum(axis=0) / np.sum(images**2), values[:components] / values[:components].sum()
    )


def test_labels_leave_what_least_squares_leaves(script):
    x, y = script.images("digits"), script.labels("digits")
    fit, left = np.linalg.lstsq(x, y, rcond=None)[:2]
    expected = np.sqrt(left[0] / len(y)) / np.linalg.norm(fit)
    assert script.noise("labels", "digits") == pytest.approx(expected)
    assert script.noise("relu", "digits") == script.LABEL_NOISE


def test_isotropic_learning_has_a_closed_form(script, tree):
    """Linear, without normalization: dε_g/dt = −2ηε_g + η²(ε_g + Δ²/2)/M."""
    flow = tree["power_laws/flow"].to_dataset().sel(exponent=0.0, normalization="none")
    eta, m, noise = script.POWER_LAW_RATE, script.BATCH_SIZE, script.LABEL_NOISE
    rate = 2 * eta - eta**2 / m
    last = eta**2 * noise**2 / (2 * m * rate)
    passage = -np.log((0.1 - last) / (1 - last)) / rate
    assert float(flow["tenth"]) == pytest.approx(passage, rel=1e-3)
    assert float(flow["last_error"]) == pytest.approx(last + (1 - last) * np.exp(-40 * rate))


def test_a_spectrum_slows_down_the_last_tenth_of_learning(script, tree):
    assert (script.growth(tree, "flow", "tenth") < 1).all()
    flow = tree["power_laws/flow"].to_dataset()
    assert (flow["last_error"].sel(exponent=2.0) > 5 * flow["last_error"].sel(exponent=0.0)).all()


def test_normalized_students_are_slowed_down_less(script):
    time = np.concatenate([[0.0], np.geomspace(5.0, 120.0, 40)])
    slower = {}
    for name in ("none", "weight", "population", "batch"):
        fast, slow = (
            script.power_law(name, exponent, "macroscopic", time)["hundredth"]
            for exponent in (0.0, 2.0)
        )
        slower[name] = float(slow / fast)
    assert slower["none"] > 1.02 * max(slower[name] for name in ("weight", "population", "batch"))
    assert min(slower.values()) > 3.5  # what normalization divides by whitens nothing


def test_the_chain_follows_the_flow(tree):
    flow, chain = (tree[f"power_laws/{name}"].to_dataset() for name in ("flow", "chain"))
    for name in ("tenth", "last_error"):
        mean, error = study.mean_and_error(chain[name])
        away = np.abs(mean - flow[name]).sel(exponent=0.0)
        assert (away < 4 * error.sel(exponent=0.0) + 0.005 * flow[name]).all()


def test_figures_are_drawn_from_the_store(script, tree, tmp_path):
    figures = {name: draw() for name, draw in script.figures(tree).items()}
    assert set(figures) == {"power_laws", "digits", "digits_gap"}
    for key, figure in figures.items():
        figure.savefig(tmp_path / f"{key}.png", dpi=30)
        assert all(axis.get_xlabel() for axis in figure.axes)
        assert figure.legends
    theory = tree["power_laws/flow"]["tenth"].sel(normalization="none")
    np.testing.assert_allclose(figures["power_laws"].axes[0].lines[0].get_ydata(), theory)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "normalization"), [("linear", "none"), ("relu", "none"), ("relu", "batch")]
)
def test_digits_teach_like_gaussian_inputs(script, task, normalization):
    """Late in learning, 200 runs: the errors are within 3.5 standard errors and a tenth."""
    run = {
        "setup": script.setup(task, normalization), "learning_rate": script.IMAGES_RATE,
        "time": [15.0, 30.0], "start": script.START, "replicas": 200,
    }  # fmt: skip
    inputs, spectrum = script.images("digits"), script.spectrum(task, "digits")
    size, teacher = inputs.shape[1], script.teacher("digits")
    levels = (
        sbn.mesoscopic(**run, dimension=size, seed=1, inputs=spectrum),
        sbn.microscopic(**run, dimension=size, seed=2, inputs=inputs, teacher=teacher),
    )
    (gaussian, error), (images, more) = (
        study.mean_and_error(level["generalization_error"].isel(learning_rate=0, time=-1))
        for level in levels
    )
    assert abs(images - gaussian) < 3.5 * np.hypot(error, more) + 0.1 * gaussian
