"""Flip rates of networks beside their predictions, in tiny runs."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

from statmech_bn import geometry, networks, study  # noqa: E402

sys.path.insert(0, str(Path(__file__).parent))
from drawn import draws  # noqa: E402

pytestmark = pytest.mark.thorough

FOLDER = Path(__file__).parents[2] / "simulations"
TINY = {
    "depth": 2, "channels": 4, "samples": 128, "sizes": (4, 16), "replicas": 3, "epochs": 1,
}  # fmt: skip


@pytest.fixture(scope="module")
def script():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(FOLDER)
        yield importlib.import_module("network_flips")


@pytest.fixture(scope="module")
def tree(script, tmp_path_factory):
    store = tmp_path_factory.mktemp("flips") / "network_flips.zarr"
    with study.results(script, script.Options(**TINY, store=store)) as tree:
        yield tree


def test_independent_positions_count_as_samples(script):
    """Gaussian pixels under a 1×1 convolution: M_eff is M times the number of positions."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(6, 8, 1, bias=False), networks.Normalization(8), nn.ReLU())
    x = torch.randn(2000, 6, 3, 3)
    found = script.measure(model, x, (4, 16), 0).isel(layer=0)
    assert found["samples_ratio"].item() == pytest.approx(9, rel=0.03)
    finite = (2000 - np.array([4, 16])) / 1999
    law = geometry.flip_rate(9 * np.array([4, 16]) / finite)
    np.testing.assert_allclose(found["gaussian_rate"], law, rtol=0.02)
    np.testing.assert_allclose(found["own_rate"], law, rtol=0.06)
    np.testing.assert_array_equal(found["own_rate"], found["flip_rate"])


def test_boundaries_off_the_mean_move_with_the_spread_too(script):
    """With β = γ the boundary is one σ below the mean of Gaussian fields."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(6, 8, 1, bias=False), networks.Normalization(8), nn.ReLU())
    nn.init.ones_(model[1].bias)
    found = script.measure(model, torch.randn(4000, 6, 1, 1), (40,), 0).isel(layer=0)
    # v = 1 + b²/2 at b = −1, and the density of the fields there.
    expected = np.sqrt(1.5 / 40) * np.exp(-0.5) / np.pi
    assert found["predicted_rate"].item() == pytest.approx(expected, rel=0.05)
    assert found["own_rate"].item() == pytest.approx(found["predicted_rate"].item(), rel=0.06)
    assert found["own_rate"].item() < 0.85 * found["gaussian_rate"].item()


def test_layers_are_what_they_were(script):
    model = networks.plain_network((1, 8, 8), 10, 2, 4)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    script.measure(model, torch.randn(40, 1, 8, 8), (8,), 0)
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])
    assert {layer.kind for layer in networks.normalization_layers(model).values()} == {"batch"}


def test_verdicts_say_what_the_numbers_do(script):
    sizes, layers = np.array([4, 16]), np.arange(1, 3)
    noise = 1 + 1e-3 * np.random.default_rng(0).standard_normal((6, 1, 2, 2))
    law = geometry.flip_rate(sizes)[:, None] * np.ones(2)
    dims = ("replica", "epoch", "batch_size", "layer")
    data = {n: (dims, law * noise) for n in ("flip_rate", "own_rate")}
    data |= {n: (dims, 0 * noise + law) for n in ("gaussian_rate", "predicted_rate")}
    data["flip_rate"][1][..., 1] *= 1.2
    found = xr.Dataset(data, {"epoch": [0], "batch_size": sizes, "layer": layers})
    said = script.verdicts(xr.DataTree.from_dict({"flips": found}))
    assert said.loc["its own statistics / M_eff", "verdict"].tolist() == ["reproduced"] * 2
    all_of_them = said.loc["all layers' statistics / M"]
    assert all_of_them["verdict"].tolist() == ["reproduced", "with a correction"]
    assert all_of_them["mean"].iloc[1] == pytest.approx(0.2, abs=2e-3)


def test_figures_are_drawn_from_the_store(script, tree, tmp_path):
    [draw] = script.figures(tree).values()
    figure = draw()
    figure.savefig(tmp_path / "rates.png", dpi=30)
    assert len(figure.axes) == 4
    assert figure.legends
    drawn = ["own_rate", "predicted_rate"], ["flip_rate", "gaussian_rate"]
    for epoch in (0, 1):
        for panel, names in enumerate(drawn):
            for name in names:
                found = tree["flips"][name].sel(epoch=epoch).isel(layer=1)
                assert draws(figure.axes[2 * epoch + panel], found), (epoch, name)
    found = tree["flips"].to_dataset()
    assert found["epoch"].values.tolist() == [0, 1]
    assert (found["flip_rate"] > 0).all()
