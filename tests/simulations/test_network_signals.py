"""Signals of networks: a tiny run, the mean field beside it, verdicts of made-up numbers."""

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
    "depth": 3, "samples": 8, "training_samples": 64, "widths": (4,), "replicas": 3, "epochs": 2,
}  # fmt: skip


@pytest.fixture(scope="module")
def script():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(FOLDER)
        yield importlib.import_module("network_signals")


@pytest.fixture(scope="module")
def tree(script, tmp_path_factory):
    store = tmp_path_factory.mktemp("signals") / "network_signals.zarr"
    with study.results(script, script.Options(**TINY, store=store)) as tree:
        yield tree


def test_training_starts_from_the_initialization(tree):
    start = tree["initial"].to_dataset().sel(width=4)
    run = tree["training"].to_dataset().isel(epoch=0)
    for name in ("correlation", "common_share", "gradient_power", "gradient_alignment"):
        np.testing.assert_array_equal(start[name], run[name])


def test_sums_of_gradients_vanish_before_batch_normalization(tree):
    found = tree["training"].to_dataset()["gradient_alignment"]
    assert (found.sel(normalization="batch") < 1e-4).all()
    assert (found.sel(normalization="none") > 1e-3).all()


def test_correlation_is_that_of_pairs_of_samples(script):
    images = script.digits(64)
    model = script.networks.plain_network((1, 8, 8), 10, 1, 4, "none")
    found = script.measure(model, images, 8)["correlation"].item()
    h = model[0](images.train_inputs[:8]).detach().double().flatten(1)
    products = h @ h.T
    expected = (products.sum() - products.trace()) / products.trace() / 7
    assert found == pytest.approx(expected.item(), rel=1e-5)


def made_up(script, growth):
    """Signals of eight networks whose gradients grow by so much in each of six layers."""
    noise = 1 + 1e-3 * np.random.default_rng(0).standard_normal((2, 8, 6))
    power = np.exp(growth * np.arange(5, -1, -1)) * noise
    levels = np.broadcast_to(np.array([0.8, 0.4])[:, None, None], power.shape) * noise
    dims = ("normalization", "replica", "layer")
    data = {n: (dims, levels) for n in ("correlation", "common_share", "alignment_behind")}
    data["gradient_alignment"] = dims, levels * np.array([1.0, 0.0])[:, None, None]
    data["alignment_weights"] = ("normalization", "replica", "weight"), levels
    data["gradient_power"] = dims, power
    coordinates = {"normalization": list(script.NORMALIZATIONS), "layer": np.arange(1, 7)}
    start = xr.Dataset(data, coordinates)
    epochs = [start.assign(square=start["correlation"] ** k) for k in (0, 3)]
    theory = start.isel(replica=0).map(np.ones_like)
    theory = theory.assign(correlation=start["correlation"].mean("replica"))
    groups = {"theory": theory, "initial": start.expand_dims(width=[4])}
    return xr.DataTree.from_dict({**groups, "training": xr.concat(epochs, "epoch")})


def test_verdicts_say_what_the_numbers_do(script):
    table = script.verdicts(made_up(script, np.log(script.CHI["batch"])))
    said = table["verdict"]
    assert said.filter(like="forget the input").item() == "reproduced"
    assert said.filter(like="sum to zero").item() == "reproduced"
    dense = said.filter(like="that of dense layers")
    assert dense.tolist() == ["with a correction", "reproduced"]
    assert table["mean"].filter(like="less the mean field's").iloc[1] == pytest.approx(
        np.log(script.CHI["batch"]), abs=1e-3
    )
    none = script.verdicts(made_up(script, 0.0))
    assert none["verdict"].filter(like="keeps gradients growing").item() == "not seen"


def test_figures_are_drawn_from_the_store(script, tree, tmp_path):
    figures = {name: draw() for name, draw in script.figures(tree).items()}
    assert set(figures) == {"initial", "training"}
    for key, figure in figures.items():
        figure.savefig(tmp_path / f"{key}.png", dpi=30)
        assert figure.axes[-1].get_xlabel()
        assert figure.legends
    theory = tree["theory"].to_dataset()["correlation"].sel(normalization="none")
    assert any(
        np.array_equal(line.get_ydata(), theory) for line in figures["initial"].axes[0].lines
    )
