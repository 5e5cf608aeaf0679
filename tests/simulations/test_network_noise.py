"""The scripts on the noise of statistics in networks: tiny runs, and their verdicts."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

torch = pytest.importorskip("torch")

from statmech_bn import networks, study  # noqa: E402
from statmech_bn.plot.network_noise import SHOWN  # noqa: E402

sys.path.insert(0, str(Path(__file__).parent))
from drawn import draws  # noqa: E402

pytestmark = pytest.mark.thorough

FOLDER = Path(__file__).parents[2] / "simulations"
TINY = {"samples": 64, "epochs": 1, "replicas": 2}


@pytest.fixture(scope="module")
def scripts():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(FOLDER)
        yield [importlib.import_module(f"network_{name}") for name in ("batch_size", "statistics")]


def test_a_tiny_run_over_batch_sizes(scripts, tmp_path):
    script, _ = scripts
    options = script.Options(
        store=tmp_path / "a.zarr", sizes=(32, 64), ghost_sizes=(16, 64), **TINY
    )
    with study.results(script, options) as tree:
        for network in script.NETWORKS:
            own, ghosts = (
                tree[f"{group}/{network}"].to_dataset().load() for group in script.GROUPS
            )
            assert own.sizes == {
                "kind": 4, "batch_size": 2, "replica": 2, "epoch": 2, "layer": own.sizes["layer"]
            }  # fmt: skip
            xr.testing.assert_equal(own.sel(batch_size=64), ghosts.sel(batch_size=64))
            # the batch is the training set: no statistic is random, and ζ = 0
            last = own["test_loss"].sel(batch_size=64).isel(epoch=-1)
            np.testing.assert_allclose(last, last.sel(kind="population").broadcast_like(last), 1e-4)
            alike = ghosts["test_loss"].sel(kind="population")
            np.testing.assert_array_equal(alike.isel(batch_size=0), alike.isel(batch_size=1))
        figures = {name: draw() for name, draw in script.figures(tree).items()}
        for name, figure in figures.items():
            figure.savefig(tmp_path / f"{name}.png", dpi=30)
            assert figure.legends
        for group in script.GROUPS:
            last = tree[f"{group}/{next(iter(script.NETWORKS))}"].isel(epoch=-1)
            for panel, name in enumerate(SHOWN):
                assert draws(figures[group].axes[panel], last[name].sel(kind="correlated"))
        assert len(script.closures(tree, "own", "dense")) == 6


def test_a_tiny_run_over_parts(scripts, tmp_path):
    _, script = scripts
    options = script.Options(store=tmp_path / "b.zarr", sizes=(8, 64), orders=2, **TINY)
    with study.results(script, options) as tree:
        for network in script.NETWORKS:
            pulled = tree[f"pull/{network}"].to_dataset().sel(batch_size=64)
            np.testing.assert_allclose(pulled["excess_loss"], 0, atol=1e-5)
            np.testing.assert_allclose(pulled["pull_correlated"], 0, atol=1e-12)
            assert len(script.pulls(tree, network)) == 6
        figures = {name: draw() for name, draw in script.figures(tree).items()}
        for name, figure in figures.items():
            figure.savefig(tmp_path / f"{name}.png", dpi=30)
        first = next(iter(script.NETWORKS))
        last = tree[f"training/{first}"].isel(epoch=-1)
        for panel, name in enumerate(SHOWN):
            assert draws(figures["training"].axes[panel], last[name].sel(kind="spread"))
        pulled = tree[f"pull/{first}"].isel(part=0)
        for name in ("pull", "excess_loss"):
            found = pulled[name].sel(labels="true", channels="together") * pulled["batch_size"]
            assert draws(figures[name].axes[0], found)
        assert list(script.additivity(tree, "dense").columns[1:]) == ["mean", "spread", "sum"]


def test_the_excess_of_one_channel_is_that_of_theory(scripts):
    """For labels of the network: within a tenth, at a batch size where 1/M² is small."""
    _, script = scripts
    found = script.pull(16, 0, "dense", 256, 3, 40, 0)
    measured = found["excess_loss"].sel(labels="model", channels="alone", part="mean")
    theory = found["excess_loss_independent"].sel(part="mean")
    assert measured.item() == pytest.approx(theory.item(), rel=0.1)
    assert found["pull"].sel(labels="model", channels="alone", part="mean") < 0


def test_channels_alone_and_together_are_losses_of_the_model(scripts):
    """With one channel there is no difference between alone and together."""
    _, script = scripts
    images = networks.load(samples=64)
    model = networks.plain_network(images.shape, depth=1, channels=1, normalization="population")
    networks.refresh_population(model, images.train_inputs)
    found = script.channels_of(model, images, 16, 1, 0)
    for name in ("excess_loss", "pull"):
        alone, together = (found[name].sel(channels=c) for c in found["channels"].values)
        np.testing.assert_allclose(alone, together, atol=1e-5)


def test_shares_and_their_errors(scripts):
    script, _ = scripts
    generator = np.random.default_rng(0)
    replicas = 400

    def over(mean, spread):
        values = np.array(mean)[:, None] + np.array(spread)[:, None] * noise
        return xr.DataArray(values, {"batch_size": [4, 8]}, ("batch_size", "replica"))

    noise = generator.standard_normal((2, replicas))
    whole, half = over([2.0, 0.01], [1.0, 1.0]), over([1.0, 0.0], [0.5, 1.0])
    found = script.shares({"half": half}, whole)
    assert found["share"].sel(batch_size=4).item() == pytest.approx(0.5)
    assert found["share_error"].sel(batch_size=4).item() == pytest.approx(0, abs=1e-12)  # paired
    assert np.isnan(found["share"].sel(batch_size=8))
    noise = generator.standard_normal((2, replicas))
    other = over([1.0, 0.0], [0.3, 1.0])
    error = script.shares({"half": other}, whole)["share_error"].sel(batch_size=4).item()
    expected = np.sqrt((0.3**2 + 0.5**2 * 1.0) / replicas) / 2
    assert error == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize(
    ("share", "error", "said"),
    [
        (np.nan, np.nan, "no gap seen"),
        (0.9, 0.1, "all"),
        (0.1, 0.1, "none"),
        (0.5, 0.3, "undecided"),
        (0.5, 0.1, "a part"),
        (1.5, 0.1, "too much"),
        (-0.5, 0.1, "the opposite"),
    ],
)
def test_verdicts(scripts, share, error, said):
    assert scripts[0].verdict(share, error) == said
