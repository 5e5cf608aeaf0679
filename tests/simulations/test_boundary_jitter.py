"""The script measures what it says: a tiny run, scored against the theory."""

import importlib
from pathlib import Path

import numpy as np
import pytest

import statmech_bn as sbn
from statmech_bn import study

pytestmark = pytest.mark.thorough

FOLDER = Path(__file__).parents[2] / "simulations"


@pytest.fixture(scope="module")
def script():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(FOLDER)
        module = importlib.import_module("boundary_jitter")
        patch.setattr(module, "MARGIN_SIZES", (8, 256))
        patch.setattr(module, "NETWORK_SIZES", (4, 32))
        yield module


@pytest.fixture(scope="module")
def tree(script, tmp_path_factory):
    sizes = {"batches": 2000, "networks": 3, "steps": 60, "replicas": 2}
    store = tmp_path_factory.mktemp("boundary_jitter") / "boundary_jitter.zarr"
    with study.results(script, script.Options(**sizes, store=store)) as tree:
        yield tree


def test_one_unit_follows_the_theory(script, tree):
    gaussian = script.scores(tree, "gaussian")
    for name in ("jitter", "inside", "outside"):
        assert (abs(gaussian[f"{name}: errors away"]) < 4.5).all()
    for name in ("gaussian_shifted", "digits"):
        assert (abs(script.scores(tree, name)["jitter: errors away"]) < 4.5).all()
    assert "inside: errors away" not in script.scores(tree, "gaussian_shifted")


def test_deeper_layers_flip_more(script, tree):
    found = script.with_arcsine(tree)
    rate = found["flip_rate"].mean("replica")
    assert (rate.diff("layer") > 0.02).all()
    first = rate.sel(layer=1) / found["predicted_inside"]
    np.testing.assert_allclose(first, 1, atol=0.1)


def test_without_jitter_a_full_batch_is_the_same(script, tree):
    for variable in ("margin", "low_margin", "accuracy"):
        table = script.margin_gain(tree, variable)
        assert abs(table.loc[256, "gain"]) < 1e-9
    assert script.margin_gain(tree).loc[8, "gain"] > 0


def test_a_point_is_the_run_that_it_says(script, tree):
    stored = tree["unit"].to_dataset().sel(unit="gaussian_shifted")
    again = sbn.geometry.boundary_jitter(
        stored["batch_size"].values, shift=1.0, batches=2000, replicas=16
    )
    for name in ("jitter", "inside", "predicted_jitter"):
        np.testing.assert_array_equal(stored[name], again[name])


def test_the_store_keeps_everything_that_is_drawn(script, tree):
    figures = {name: draw() for name, draw in script.figures(tree).items()}
    assert set(figures) == {"jitter", "flips", "margin"}
    rates = tree["unit"]["predicted_inside"].sel(unit="gaussian")
    curve = figures["flips"].axes[0].lines[0]
    np.testing.assert_allclose(curve.get_ydata(), rates)
    for figure in figures.values():
        for axis in figure.axes:
            assert axis.get_xlabel()
