"""Initialization by data: a tiny run, the same start, regression, verdicts of made-up numbers."""

import importlib
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from statmech_bn import study

pytestmark = pytest.mark.thorough

torch = pytest.importorskip("torch")

FOLDER = Path(__file__).parents[2] / "simulations"
TINY = {
    "depth": 2, "width": 6, "samples": 48, "rates": (0.1,), "depths": (1, 2), "replicas": 2,
    "epochs": 2, "feature_width": 32,
}  # fmt: skip


@pytest.fixture(scope="module")
def script():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(FOLDER)
        yield importlib.import_module("network_initialization")


@pytest.fixture(scope="module")
def tree(script, tmp_path_factory):
    store = tmp_path_factory.mktemp("initialization") / "network_initialization.zarr"
    with study.results(script, script.Options(**TINY, store=store)) as tree:
        yield tree


def test_a_tiny_study(script, tree, tmp_path):
    for name, draw in script.figures(tree).items():
        figure = draw()
        figure.savefig(tmp_path / f"{name}.png", dpi=30)
        assert figure.legends
    assert script.verdicts(tree)["verdict"].notna().all()


def test_statistics_of_the_training_set_start_alike(tree):
    start = tree["training"].to_dataset()["training_loss"].isel(epoch=0)
    for kind in ("population", "batch"):
        np.testing.assert_allclose(
            start.sel(normalization="initial"), start.sel(normalization=kind), rtol=1e-5
        )
    last = tree["training"].to_dataset()["training_loss"].isel(epoch=-1)
    assert (last.sel(normalization="initial") != last.sel(normalization="population")).all()


def test_the_regression_is_that_of_scikit_learn(script):
    from sklearn.linear_model import Ridge

    images, rng = script.digits(48), np.random.default_rng(0)
    x = torch.cat([images.train_inputs, images.test_inputs]).flatten(1).double().numpy()
    x = np.maximum(x @ rng.normal(size=(64, 20)), 0) + 3
    found = script.scores(x @ x.T, images)["regression_accuracy"].item()
    penalty = script.RIDGE * x[:48].var(axis=0).sum()
    model = Ridge(alpha=penalty).fit(x[:48], np.eye(10)[images.train_labels.numpy()])
    right = model.predict(x[48:]).argmax(axis=1) == images.test_labels.numpy()
    assert found == pytest.approx(right.mean())
    assert 0.3 < found < 1


def test_wide_layers_are_worth_what_their_kernel_is(script):
    for kind in script.RANDOM:
        expected = script.theory(kind, 2, 64, "digits")
        found = script.features(
            kind, 2, 0, feature_width=4000, samples=64, epochs=1, data="digits", seed=0
        )
        for name, tolerance in (("regression_accuracy", 0.03), ("shared_output", 0.02)):
            assert found[name].item() == pytest.approx(expected[name].item(), abs=tolerance)


def test_verdicts_say_what_the_numbers_do(script):
    rng = np.random.default_rng(0)
    dims = ("normalization", "learning_rate", "replica", "epoch")

    def values(levels, shape, size=1e-3):
        levels = np.array(levels).reshape(-1, *[1] * len(shape))
        return levels + size * rng.standard_normal((len(levels), *shape))

    training = xr.Dataset(
        {
            "training_loss": (dims, values([4, 2, 1, 1], (1, 8, 2))),
            "test_accuracy": (dims, values([0.5, 0.7, 0.7, 0.6], (1, 8, 2))),
        },
        {"normalization": list(script.KINDS), "learning_rate": [0.1]},
    )
    coordinates = {"normalization": list(script.RANDOM), "depth": [1]}
    dims = ("normalization", "depth", "replica")
    features = xr.Dataset(
        {
            "trained_accuracy": (dims, values([0.5, 0.9], (1, 8))),
            "regression_accuracy": (dims, values([0.9, 0.5], (1, 8))),
        },
        coordinates,
    )
    theory = xr.Dataset({"regression_accuracy": (dims[:2], [[0.9], [0.7]])}, coordinates)
    groups = {"training": training, "features": features, "theory": theory}
    said = script.verdicts(xr.DataTree.from_dict(groups))["verdict"].tolist()
    assert said == [
        "reproduced", "reproduced", "reproduced", "not seen", "not seen", "the opposite",
        "reproduced", "the opposite", "reproduced", "with a correction",
    ]  # fmt: skip
