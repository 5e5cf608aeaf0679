"""Residual network on MNIST: a tiny study, correlations of Gaussian units, made-up verdicts."""

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
TINY = {"sizes": (8, 32), "samples": 64, "epochs": 1, "replicas": 2}


@pytest.fixture(scope="module")
def script():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(FOLDER)
        script = importlib.import_module("network_regularization")
        patch.setattr(script, "DRAWN", 2**10)
        yield script


@pytest.fixture(scope="module")
def tree(script, tmp_path_factory):
    store = tmp_path_factory.mktemp("regularization") / "network_regularization.zarr"
    with study.results(script, script.Options(**TINY, store=store)) as tree:
        yield tree


def test_figures_are_drawn_from_the_store(script, tree, tmp_path):
    figures = {name: draw() for name, draw in script.figures(tree).items()}
    for name, figure in figures.items():
        figure.savefig(tmp_path / f"{name}.png", dpi=30)
        assert figure.legends
    trained, units = (tree[name].to_dataset() for name in ("training", "units"))
    for kind in script.KINDS:
        assert draws(figures["training"].axes[0], trained["test_accuracy"].sel(kind=kind))
        axis = figures["correlation"].axes[1]
        assert draws(axis, trained["unit_correlation"].sel(kind=kind))
    for name in ("correlation_kept", "theory"):
        assert draws(figures["correlation"].axes[0], units[name].sel(kind="batch"))
    assert script.tables(tree)["claims"]["verdict"].notna().all()


def test_all_kinds_start_alike(script):
    """Beside batch statistics, all compute the same of the training set at the start."""
    images = script.halved(64)
    outputs = []
    for kind in script.KINDS:
        model = script.made(kind, images, seed=3)
        networks.refresh_population(model, images.train_inputs)
        outputs.append(model.eval()(images.train_inputs).detach())
    assert len(outputs) == 7
    for output in outputs[1:]:
        torch.testing.assert_close(output, outputs[0], rtol=1e-4, atol=1e-5)


def test_a_training_that_diverges_is_worth_a_guess(script, monkeypatch):
    monkeypatch.setattr(script, "RATE", 1e30)
    found = script.train("population", 32, 0, samples=64, epochs=1, seed=0)
    for name in ("training_loss", "test_loss"):
        assert found[name].item() == pytest.approx(np.log(10))
    assert found["test_accuracy"].item() == 0.1
    assert found["mean_gamma"].item() == 1
    assert np.isfinite(found["unit_correlation"].item())


def test_correlations_of_units_are_those_of_their_fields(script):
    images = script.halved(64)
    model = script.made("population", images, seed=3)
    layer = script.normalized(model)[0]
    found = script.unit_correlation(model, [layer], images.test_inputs)
    fields = model[0](images.test_inputs).detach().permute(1, 0, 2, 3).flatten(1).double().numpy()
    matrix = np.corrcoef(fields)
    pairs = [matrix[k, n] for n in range(len(matrix)) for k in range(n)]
    assert found == pytest.approx(np.sqrt(np.mean(np.square(pairs))), rel=1e-4)


@pytest.mark.parametrize("size", [6, 32])
def test_random_statistics_of_gaussian_units(script, size):
    """A million samples of two units; the first order of the spread alone is off by 1/M²."""
    rng, q = np.random.default_rng(size), 0.6
    u = rng.standard_normal((10**6 // size, size, 2))
    u[..., 1] = q * u[..., 0] + np.sqrt(1 - q**2) * u[..., 1]
    centred = u - u.mean(axis=1, keepdims=True)
    spread = u.std(axis=1, keepdims=True)
    shown = {"batch": centred / spread, "mean": centred, "spread": u / spread}
    for kind, values in shown.items():
        found = script.pairs(script.correlation(values))[0]
        expected = script.predicted(kind, np.array([q]), size)[0]
        allowed = 3e-3 + (1 / size**2 if kind == "spread" else 0)
        assert found == pytest.approx(expected, abs=allowed)
        assert (found < q - 2e-3) == (kind != "mean")


def test_verdicts_say_what_the_numbers_do(script):
    rng, kinds, sizes = np.random.default_rng(0), list(script.KINDS), [4, 64]
    noise = 1 + 1e-4 * rng.standard_normal((len(kinds), 2, 8))
    one = [1, 1]
    levels = {  # BN, mean, spread, PN, independent, correlated, WN; both sizes
        "mean_gamma": [[0.5, 0.9], one, [0.6, 0.9], one, [0.5, 0.9], [0.7, 0.9], one],
        "training_loss": [[2, 1.2], one, one, one, [2, 1.2], [0.5, 0.9], one],
        "test_loss": [one] * 7,
        "unit_correlation": [[0.3, 0.3], [0.4, 0.4], [0.3, 0.3], *[[0.4, 0.4]] * 4],
    }
    dims = ("kind", "batch_size", "replica")
    data = {name: (dims, np.array(v)[..., None] * noise) for name, v in levels.items()}
    random = [[0.9, 0.99], [1.0, 1.0], [0.9, 0.99]]
    kept = np.array(random)[..., None] * (1 + 1e-5 * rng.standard_normal((3, 2, 8)))
    units = xr.Dataset(
        {"correlation_kept": (dims, kept), "theory": (dims, np.full((3, 2, 8), kept[:, :, :1]))},
        {"kind": list(script.RANDOM), "batch_size": sizes},
    )
    training = xr.Dataset(data, {"kind": kinds, "batch_size": sizes})
    groups = {"training": training, "units": units}
    said = script.verdicts(xr.DataTree.from_dict(groups))["verdict"]
    closed = said.filter(like="closes")
    assert closed.tolist() == [
        "reproduced", "with a correction", "reproduced", "the opposite", *["no gap seen"] * 2,
    ]  # fmt: skip
    assert said["BN has smaller γ than PN"] == "reproduced"
    assert said.filter(like="the smaller the batch").tolist() == ["reproduced"]
    assert said.filter(like="learn to be less").tolist() == ["reproduced", "not seen", "reproduced"]
    assert set(said.filter(like="of Gaussian")) == {"reproduced"}
    assert set(said.filter(like="WN is as PN")) == {"reproduced"}
