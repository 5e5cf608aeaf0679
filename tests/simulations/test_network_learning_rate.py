"""Learning rates of networks: a tiny run, and verdicts of made-up ones."""

import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from statmech_bn import study

torch = pytest.importorskip("torch")

sys.path.insert(0, str(Path(__file__).parent))
from drawn import draws  # noqa: E402

pytestmark = pytest.mark.thorough

FOLDER = Path(__file__).parents[2] / "simulations"
RATES, DEPTHS = [0.1, 1.0, 10.0], [2, 8]


@pytest.fixture(scope="module")
def script():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(FOLDER)
        import network_learning_rate

        yield network_learning_rate


def test_a_tiny_study(script, tmp_path):
    options = script.Options(
        preset="quick", store=tmp_path / "tiny.zarr", depths=(1, 2), rates=(0.3, 1e4), replicas=2,
        kinds=tuple(script.KINDS), samples=64, batch_size=8, channels=4,
    )  # fmt: skip
    tree = study.results(script, options)
    found = script.networks_of(tree)
    assert list(found) == list(script.KINDS)
    for data in found.values():
        assert (data["stable"].sel(learning_rate=0.3) == 1).all()
        assert (data["stable"].sel(learning_rate=1e4) == 0).all()
    figures = {name: draw() for name, draw in script.figures(tree).items()}
    for name, figure in figures.items():
        figure.savefig(tmp_path / f"{name}.png", dpi=30)
        assert figure.legends
    for data in found.values():
        at = data.sel(depth=2)
        assert draws(figures["accuracy"].axes[1], at["test_accuracy"])
        assert draws(figures["accuracy"].axes[3], at["diverged_at"].notnull().astype(float))
    assert script.verdicts(tree)["verdict"].notna().all()


def test_a_dead_network_is_not_stable(script):
    """It answers the same to all inputs, which may well be better than its start."""
    found = script.train("batch", 2, 30.0, 0, 4, 64, 16, 2, 0)
    assert np.isnan(found["diverged_at"])
    assert found["stable"] == found["trains"] == 0


def test_rescaled_networks_have_fields_of_unit_size(script):
    images = script.digits(64)
    model = script.networks.plain_network(images.shape, depth=12, normalization="none")
    script.rescale(model, images.train_inputs)
    x = images.train_inputs
    for layer in model:
        x = layer(x)
        if isinstance(layer, torch.nn.Conv2d):
            assert x.square().mean().item() == pytest.approx(1, rel=1e-4)


def made_up(largest, accuracy):
    """Runs that are stable up to a rate for each depth; replicas differ a little."""
    dims = {"depth": DEPTHS, "learning_rate": RATES, "replica": range(4)}
    shape = xr.DataArray(np.zeros([len(v) for v in dims.values()]), dims)
    noise = xr.DataArray(0.01 * np.arange(4), {"replica": range(4)})
    below = shape["learning_rate"] <= xr.DataArray(largest, {"depth": DEPTHS})
    data = {
        "stable": shape + below,
        "trains": shape + below,
        "test_accuracy": shape + xr.DataArray(accuracy, {"learning_rate": RATES}) + noise,
        "diverged_at": (shape + 1).where(~below),
    }
    return xr.Dataset({k: v.transpose(*dims) for k, v in data.items()})


def test_verdicts(script):
    tree = xr.DataTree.from_dict(
        {
            "none": made_up([1.0, 0.1], [0.5, 0.2, 0.1]),
            "batch": made_up([10.0, 10.0], [0.5, 0.8, 0.3]),
        }
    )
    table = script.verdicts(tree)
    fall = table.loc["−d ln η_max/d ln depth, stable, no normalization"]
    assert fall["mean"] == pytest.approx(np.log(10) / np.log(4))
    assert fall["verdict"] == "reproduced"
    assert table.loc["−d ln η_max/d ln depth, trains, batch norm.", "verdict"] == "reproduced"
    ratio = table.loc["ln η_max batch norm. / no normalization, stable, depth 8", "mean"]
    assert ratio == pytest.approx(np.log(100))
    same = table.loc["accuracy with − without batch norm., at the best η without, depth 2"]
    assert (same["mean"], same["verdict"]) == (pytest.approx(0), "reproduced")
    gain = table.loc["accuracy with batch norm., best η − the best η without, depth 8", "mean"]
    assert gain == pytest.approx(0.3)
    more = table.loc["share diverged, deepest − shallowest, no normalization", "mean"]
    assert more == pytest.approx(1 / 3)
