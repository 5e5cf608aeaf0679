"""Sharpness of networks: a tiny run, its symmetries, and exponents of made-up laws."""

import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

torch = pytest.importorskip("torch")

from statmech_bn import networks, study  # noqa: E402

sys.path.insert(0, str(Path(__file__).parent))
from drawn import draws  # noqa: E402

pytestmark = pytest.mark.thorough

FOLDER = Path(__file__).parents[2] / "simulations"


@pytest.fixture(scope="module")
def script():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(FOLDER)
        import network_sharpness

        yield network_sharpness


def test_a_tiny_study(script, tmp_path):
    options = script.Options(
        preset="quick", store=tmp_path / "tiny.zarr", depth=1, channels=3, samples=32,
        batch_sizes=(16, 32), rates=(0.2, 0.4), time=1.6, checkpoints=2, replicas=2,
    )  # fmt: skip
    tree = study.results(script, options)
    found = script.trained(tree)["none"].isel(learning_rate=1, training_time=0)
    np.testing.assert_allclose(found["stability"], 0.2 * found["sharpness"])
    figures = {name: draw() for name, draw in script.figures(tree).items()}
    for name, figure in figures.items():
        figure.savefig(tmp_path / f"{name}.png", dpi=30)
        assert figure.legends
    for panel, kind in enumerate(script.KINDS):
        found = script.trained(tree)[kind]
        ends = found.isel(training_time=-1, batch_size=0)
        assert draws(figures["end"].axes[panel], ends["sharpness"])
        assert draws(figures["end"].axes[2 + panel], ends["scale_free_sharpness"])
        way = found["stability"].isel(batch_size=-1, learning_rate=0)
        assert draws(figures["descent"].axes[panel], way)
    assert script.verdicts(tree)["verdict"].notna().all()


def test_batch_normalization_makes_sharpness_fall_with_the_square_of_the_weights(script):
    images = script.digits(64)
    model = networks.plain_network(images.shape, depth=1, channels=4)
    model.requires_grad_(False)
    model[0].weight.requires_grad_(True)  # the Hessian of one scale-invariant layer
    before = script.measure(model, images)
    with torch.no_grad():
        model[0].weight *= 3
    after = script.measure(model, images)
    ratio = (before["sharpness"] / after["sharpness"]).values
    np.testing.assert_allclose(ratio, 9, rtol=0.03)
    for found in (before, after):
        expected = (found["weight_square"] * found["sharpness"].sel(rank=1)).item()
        assert found["scale_free_sharpness"].item() == pytest.approx(expected, rel=0.03)
    free = [found["scale_free_sharpness"].item() for found in (before, after)]
    assert free[0] == pytest.approx(free[1], rel=0.03)


def test_what_has_diverged_is_infinitely_sharp(script):
    images = script.digits(64)
    model = networks.plain_network(images.shape, depth=1, channels=4, normalization="none")
    with torch.no_grad():
        model[0].weight *= torch.inf
    found = script.measure(model, images)
    assert np.isinf(found["sharpness"]).all()
    assert np.isinf(found["scale_free_sharpness"])


def test_a_dead_network_has_no_curvature_below(script):
    images = script.digits(64)
    model = networks.plain_network(images.shape, depth=1, channels=4, normalization="none")
    with torch.no_grad():
        model[1].bias -= 1e3
    assert script.measure(model, images)["scale_free_sharpness"] == 0


def test_checkpoints_follow_whole_epochs(script):
    with pytest.raises(ValueError, match="time"):
        script.train("none", 16, 0.3, 0, 1, 3, 64, 1.6, 2, 0)


def test_exponents_of_a_power_law(script):
    sizes = xr.DataArray([8.0, 32.0], {"batch_size": [8, 32]})
    rates = xr.DataArray([0.1, 0.2, 0.4], {"learning_rate": [0.1, 0.2, 0.4]})
    factors = xr.DataArray([1.0, 2.0], {"replica": [0, 1]})
    found = script.exponents(factors * sizes**0.4 / rates**0.7)
    np.testing.assert_allclose(found["rate"], -0.7)
    np.testing.assert_allclose(found["size"], 0.4)
