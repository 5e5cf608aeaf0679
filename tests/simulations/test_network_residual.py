"""Convolutional residual networks: a tiny study, its figures, the mean field, SkipInit."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

from statmech_bn import study

torch = pytest.importorskip("torch")
sys.path.insert(0, str(Path(__file__).parent))
from drawn import draws  # noqa: E402

pytestmark = pytest.mark.thorough

FOLDER = Path(__file__).parents[2] / "simulations"


@pytest.fixture(scope="module")
def script():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(FOLDER)
        yield importlib.import_module("network_residual")


@pytest.fixture(scope="module")
def tree(script, tmp_path_factory):
    store = tmp_path_factory.mktemp("residual") / "network_residual.zarr"
    size = {"depths": (1, 3), "channels": 32, "samples": 32, "networks": 5}
    with study.results(script, script.Options(**size, store=store)) as tree:
        yield tree


def test_figures_are_drawn_from_the_store(script, tree, tmp_path):
    figure = script.figures(tree)["growth"]()
    figure.savefig(tmp_path / "growth.png", dpi=30)
    assert figure.legends
    for k, images in enumerate(script.IMAGES):
        for name, row in (("field_square", 0), ("gradient_square", 2)):
            axis = figure.axes[row + k]
            assert draws(axis, tree["theory"].to_dataset()[name].sel(network="branch"))
            measured = tree["network"].to_dataset()[name]
            assert draws(axis, measured.sel(network="branch", images=images))
            rectified = tree["rectified/network"].to_dataset()[name]
            assert draws(axis, rectified.sel(images=images))
    said = script.tables(tree)["verdicts"]
    assert said.shape == (5, 2)
    assert said.notna().all(axis=None)


def test_on_a_torus_of_noise_networks_follow_the_mean_field(script, tree):
    """Three blocks; 32 channels, and 32 samples at 64 positions, add up to some hundredths.

    The model itself, with ReLU behind the sum, is one of them, on a torus and without halving.
    """
    for group in ("", "rectified/"):
        for name in script.MEASURED:
            mean, error = study.mean_and_error(script.apart(tree, name, group))
            apart = abs(mean.sel(images="noise"))
            assert (apart < 5 * error.sel(images="noise") + 0.1).all()


def test_zeros_around_the_image_take_variance(script, tree):
    """On a torus nothing is taken of noise; digits lose at the border if nothing normalizes."""
    plain = tree["network"].to_dataset()["field_square"].sel(network="none", depth=3)
    noise, digits = (plain.sel(images=name).mean("replica").item() for name in script.IMAGES)
    assert noise == pytest.approx(8, rel=0.15)
    assert digits < noise


def test_without_branches_nothing_changes(script):
    for images in script.IMAGES:
        found = script.measure(images, "skip", 5, 0, channels=4, samples=8, seed=1)
        np.testing.assert_allclose(found["field_square"], 1, rtol=1e-3)
        np.testing.assert_allclose(found["gradient_square"], 1, rtol=1e-6)
