"""The script measures what it says: a tiny run, scored against the theory."""

import importlib
from pathlib import Path

import numpy as np
import pytest

import statmech_bn as sbn

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
def tree(script):
    return script.simulate(script.Options(batches=2000, networks=3, steps=60, replicas=2))


def test_one_unit_follows_the_theory(script, tree):
    gaussian = script.scores(tree, "gaussian")
    for name in ("jitter", "inside", "outside"):
        assert (abs(gaussian[f"{name}: errors away"]) < 4.5).all()
    for name in ("gaussian_shifted", "digits"):
        assert (abs(script.scores(tree, name)["jitter: errors away"]) < 4.5).all()
    assert "inside: errors away" not in script.scores(tree, "gaussian_shifted")


def test_deeper_layers_flip_more(tree):
    rate = tree["network"]["flip_rate"].mean("replica")
    assert (rate.diff("layer") > 0.02).all()
    first = rate.sel(layer=1) / tree["network"]["predicted_inside"]
    np.testing.assert_allclose(first, 1, atol=0.1)


def test_without_jitter_a_full_batch_is_the_same(script, tree):
    for variable in ("margin", "low_margin", "accuracy"):
        table = script.margin_gain(tree, variable)
        assert abs(table.loc[256, "gain"]) < 1e-9
    assert script.margin_gain(tree).loc[8, "gain"] > 0


def test_the_store_keeps_everything_that_is_drawn(script, tree, tmp_path):
    with sbn.open(sbn.save(tree, tmp_path / "boundary_jitter.zarr")) as opened:
        figures = script.figures(opened)
    assert set(figures) == {"jitter", "flips", "margin"}
    rates = tree["unit/gaussian"]["predicted_inside"]
    curve = figures["flips"].axes[0].lines[0]
    np.testing.assert_allclose(curve.get_ydata(), rates)
    for figure in figures.values():
        for axis in figure.axes:
            assert axis.get_xlabel()
