"""Covariate shift of networks: a tiny run, its start, its distance, verdicts of made-up numbers."""

import importlib
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from statmech_bn import study

pytestmark = pytest.mark.thorough

torch = pytest.importorskip("torch")

FOLDER = Path(__file__).parents[2] / "simulations"
TINY = {"depth": 2, "channels": 3, "samples": 64, "rates": (0.1,), "replicas": 2, "epochs": 2}


@pytest.fixture(scope="module")
def script():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(FOLDER)
        yield importlib.import_module("network_covariate_shift")


@pytest.fixture(scope="module")
def tree(script, tmp_path_factory):
    store = tmp_path_factory.mktemp("shift") / "network_covariate_shift.zarr"
    with study.results(script, script.Options(**TINY, store=store)) as tree:
        yield tree


def test_a_tiny_study(script, tree, tmp_path):
    for name, draw in script.figures(tree).items():
        figure = draw()
        figure.savefig(tmp_path / f"{name}.png", dpi=30)
        assert figure.legends
    assert script.verdicts(tree)["verdict"].notna().all()


def test_all_start_alike_and_only_noise_moves_a_network_that_does_not_learn(script, tree):
    found = tree["training"].to_dataset().isel(learning_rate=0)
    first = found["input_quantile"].isel(epoch=0)
    assert not np.allclose(first.sel(normalization="noisy"), first.sel(normalization="batch"))
    start = found["training_loss"].isel(epoch=0)
    np.testing.assert_array_equal(
        start.sel(normalization="noisy"), start.sel(normalization="batch")
    )
    sizes = {name: TINY[name] for name in ("depth", "channels", "samples", "epochs")}
    still = {k: script.train(k, 0.0, 0, **sizes, data="digits", seed=0) for k in ("batch", "noisy")}
    assert (still["batch"]["input_shift"] == 0).all()
    assert (still["noisy"]["input_shift"].isel(epoch=slice(1, None)) > 0.02).all()
    assert (still["noisy"]["gradient_shift"] == 0).all()


def test_a_distribution_that_is_moved_by_its_spread_has_shifted_by_one(script):
    quantiles = np.random.default_rng(0).normal(size=(3, 4, 200))
    before = xr.Dataset({"input_quantile": (("layer", "channel", "probability"), quantiles)})
    found = script.distance(before + before.std("probability"), before)
    np.testing.assert_allclose(found["input_quantile"], 1)


def test_verdicts_say_what_the_numbers_do(script):
    rng = np.random.default_rng(0)
    levels = {"input_shift": (3, 1, 4), "field_shift": (3, 1, 1), "gradient_shift": (1, 2, 1)}
    levels["training_loss"] = (2, 1, 1)
    dims = ("normalization", "learning_rate", "replica", "epoch")
    noise = 1 + 0.01 * rng.standard_normal((3, 1, 8, 4))
    extra = {"input_shift": "layer", "field_shift": "layer", "gradient_shift": "weight"}
    data = {}
    for name, values in levels.items():
        array = xr.DataArray(np.array(values)[:, None, None, None] * noise, dims=dims)
        data[name] = array.expand_dims({extra[name]: 2}) if name in extra else array
    coordinates = {"normalization": list(script.KINDS), "learning_rate": [0.1]}
    tree = xr.DataTree.from_dict({"training": xr.Dataset(data, coordinates)})
    said = script.verdicts(tree)["verdict"].tolist()
    assert said == [*["reproduced"] * 5, "not seen"]
