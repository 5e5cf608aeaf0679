"""Inference of networks: a tiny study, own statistics in known cases, made-up verdicts."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from statmech_bn import inference, study

torch = pytest.importorskip("torch")
from statmech_bn import networks  # noqa: E402

sys.path.insert(0, str(Path(__file__).parent))
from drawn import draws  # noqa: E402

pytestmark = pytest.mark.thorough

FOLDER = Path(__file__).parents[2] / "simulations"
TINY = {"sizes": (4, 16), "epochs": 1, "orders": 2, "replicas": 2}


@pytest.fixture(scope="module")
def script():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(FOLDER)
        script = importlib.import_module("network_inference")
        patch.setattr(script, "TRAINED_SAMPLES", 64)
        yield script


@pytest.fixture(scope="module")
def tree(script, tmp_path_factory):
    store = tmp_path_factory.mktemp("inference") / "network_inference.zarr"
    with study.results(script, script.Options(**TINY, store=store)) as tree:
        yield tree


def test_figures_are_drawn_from_the_store(script, tree, tmp_path):
    figures = {name: draw() for name, draw in script.figures(tree).items()}
    for name, figure in figures.items():
        figure.savefig(tmp_path / f"{name}.png", dpi=30)
        assert figure.legends
    losses = script.opened(tree)[0].sel(network="convolutional", batch_size=4)
    for scale in script.SCALES:
        assert draws(figures["own"].axes[2], losses["loss_added"].sel(scale=scale))
    dense = script.opened(tree)[0]["test_loss"].sel(network="dense")
    np.testing.assert_allclose(dense.sel(scale="effective"), dense.sel(scale="derived"), rtol=1e-6)
    averages = tree["running"].to_dataset().sel(network="dense", batch_size=16)
    assert draws(figures["running"].axes[0], averages["running_excess"])
    assert script.tables(tree)["verdicts"].notna().all(axis=None)


@pytest.fixture
def layer():
    made = networks.Normalization(2, epsilon=0.0)
    with torch.no_grad():
        made.weight.copy_(torch.tensor([0.7, -1.3]))
        made.bias.copy_(torch.tensor([0.1, -0.4]))
        made.running_mean.copy_(torch.tensor([1.5, 2.5]))
        made.running_var.copy_(torch.tensor([4.0, 9.0]))
    return made.eval().requires_grad_(False)


@pytest.mark.parametrize("shape", [(5, 2), (5, 2, 3, 4)])
def test_without_a_share_it_is_inference(script, layer, shape):
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(script.OwnStatistics(layer, 0.0, 1.0)(x), layer(x))


def test_a_dense_layer_shows_the_field_of_the_solvable_model(script, layer):
    u = torch.linspace(-3, 3, 7)[:, None].expand(-1, 2)
    x = layer.running_mean + u * layer.running_var.sqrt()
    for share in (0.1, 0.5):
        shown = script.OwnStatistics(layer, share, 2.0)(x)
        field = torch.from_numpy(inference.inference_field(u.numpy(), share)).float()
        torch.testing.assert_close(shown, 2 * layer.weight * field + layer.bias)


def test_positions_count_as_samples_of_the_batch(script, layer):
    """With the share 1/M, an image and M − 1 others that have the population's statistics."""
    share, x = 0.25, torch.randn((1, 2, 3, 4), generator=torch.Generator().manual_seed(1))
    mean, spread = layer.running_mean, layer.running_var.sqrt()
    others = (mean + spread * torch.tensor([[1.0], [-1.0]])).repeat(18, 1)  # 36 values to 12
    union = torch.cat([x[0].flatten(1).T, others])
    white = (x - union.mean(0)[:, None, None]) / union.std(0, correction=0)[:, None, None]
    expected = layer.weight[:, None, None] * white + layer.bias[:, None, None]
    torch.testing.assert_close(script.OwnStatistics(layer, share, 1.0)(x), expected)


def test_verdicts_say_what_the_numbers_do(script):
    rng, dims = np.random.default_rng(0), ("network", "batch_size", "replica")
    noise = 1 + 1e-3 * rng.standard_normal((2, 2, 8))
    losses = np.ones((len(script.SHARES), 3, 2, 2, 8))
    at = script.SHARES.index(1.0)
    losses[at, 2] += 0.1 * noise  # with the scale of M_eff, as much as training mode
    losses[at, 0] -= 0.2 * noise
    momenta = np.array(script.MOMENTA)
    samples = np.array([4, 16])[:, None] * (2 - momenta) / momenta
    excess = (noise[..., None] / samples[:, None]) * np.ones((2, 1, 1, 1))
    grid = {"network": list(script.NETWORKS), "batch_size": [4, 16]}
    own = xr.Dataset(
        {
            "test_loss": (("share", "scale", *dims), losses),
            "mode_gap": (dims, 0.1 * noise + 1e-4 * rng.standard_normal((2, 2, 8))),
        },
        {**grid, "share": list(script.SHARES), "scale": list(script.SCALES)},
    )
    running = xr.Dataset(
        {"running_excess": ((*dims, "momentum"), excess)}, {**grid, "momentum": momenta}
    )
    tree = xr.DataTree.from_dict({"own": own, "running": running})
    said = [study.decide(*pair) for pair in script.claims(tree, "dense").values()]
    expected = ["reproduced", "reproduced", "the opposite", "reproduced", "reproduced"]
    assert said == [*expected, "reproduced"]
