"""Dropout in networks: masks in known cases, a tiny study, verdicts of made-up losses."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from statmech_bn import study

torch = pytest.importorskip("torch")
pytest.importorskip("mlxtend")
from statmech_bn import networks  # noqa: E402

sys.path.insert(0, str(Path(__file__).parent))
from drawn import draws  # noqa: E402

pytestmark = pytest.mark.thorough

FOLDER = Path(__file__).parents[2] / "simulations"
TINY = {"small": 8, "large": 32, "samples": 64, "shares": (0.0, 0.3), "epochs": 1, "replicas": 2}


@pytest.fixture(scope="module")
def script():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(FOLDER)
        yield importlib.import_module("network_dropout")


def test_a_tiny_study(script, tmp_path):
    options = script.Options(**TINY, store=tmp_path / "tiny.zarr")
    with study.results(script, options) as tree:
        figure = script.figures(tree)["losses"]()
        figure.savefig(tmp_path / "losses.png", dpi=30)
        large, small = script.opened(tree)
        for axis, name in zip(figure.axes, ("test_loss", "training_loss", "gap"), strict=True):
            assert draws(axis, large[name].isel(batch_size=0))
            assert draws(axis, small[name].isel(batch_size=0, share=[0, 0]))
        assert script.tables(tree)["claims"]["verdict"].notna().all()
        assert not np.allclose(*large["test_loss"].isel(batch_size=0).transpose("share", ...))


def test_masks_keep_the_mean_and_add_the_variance(script):
    """Of values u, a share p/(1 − p) of their squares; nothing at inference."""
    share, layer = 0.3, networks.Normalization(2)
    x = torch.randn((2000, 2, 5), generator=torch.Generator().manual_seed(0))
    plain = layer(x).detach()
    with script.dropping(layer, share, seed=1):
        shown = layer(x).detach()
        inferred = layer.eval()(x)
    torch.testing.assert_close(inferred, layer(x))
    zero = shown == 0
    assert zero.double().mean().item() == pytest.approx(share, abs=0.01)
    torch.testing.assert_close(shown[~zero], plain[~zero] / (1 - share))
    added = ((shown - plain) ** 2).mean() / (plain**2).mean()
    assert added.item() == pytest.approx(share / (1 - share), rel=0.03)


def test_a_training_follows_from_its_seed(script):
    """Whatever else draws random numbers meanwhile."""
    both = []
    for _ in range(2):
        torch.rand(7)
        both.append(script.train(32, 0.3, 0, samples=64, epochs=1, seed=0))
    xr.testing.assert_identical(*both)
    assert not both[0].equals(script.train(32, 0.3, 1, samples=64, epochs=1, seed=0))


def test_verdicts_say_what_the_numbers_do(script):
    noise = 1 + 1e-3 * np.random.default_rng(0).standard_normal((1, 3, 8))
    dims = ("batch_size", "share", "replica")
    losses = {"test_loss": [3.0, 2.0, 4.0], "training_loss": [1.0, 1.0, 1.0]}
    large = xr.Dataset(
        {name: (dims, np.array(values)[:, None] * noise) for name, values in losses.items()},
        {"batch_size": [128], "share": [0.0, 0.1, 0.4]},
    )
    small = large.isel(share=[1]).assign_coords(batch_size=[8], share=[0.0])
    tree = xr.DataTree.from_dict({"large": large, "small": small})
    said = [study.decide(*pair) for pair in script.claims(tree).values()]
    assert said == 2 * ["reproduced", "reproduced", "the opposite"]
