"""Place of the normalization: a tiny run, exact cases of the largest rate, made-up numbers."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from statmech_bn import study

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

from statmech_bn import networks  # noqa: E402

sys.path.insert(0, str(Path(__file__).parent))
from drawn import draws  # noqa: E402

pytestmark = pytest.mark.thorough

FOLDER = Path(__file__).parents[2] / "simulations"


@pytest.fixture(scope="module")
def script():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(FOLDER)
        yield importlib.import_module("network_placement")


def test_a_tiny_study(script, tmp_path):
    options = script.Options(
        preset="quick", store=tmp_path / "tiny.zarr", depth=2, samples=16, widths=(8, 12),
        replicas=2, trained_depth=2, trained_samples=64, rates=(0.1, 10.0), epochs=1,
    )  # fmt: skip
    tree = study.results(script, options)
    figures = {name: draw() for name, draw in script.figures(tree).items()}
    for name, figure in figures.items():
        figure.savefig(tmp_path / f"{name}.png", dpi=60)
        assert figure.legends
    trained = tree["training"].to_dataset()
    for place in script.TRAINED:
        for k, name in enumerate(("test_accuracy", "training_loss")):
            assert draws(figures["training"].axes[k], trained[name].sel(place=place))
    assert script.verdicts(tree)["verdict"].notna().all()


def test_normalization_is_where_it_is_said_to_be(script):
    images = script.digits(32)
    kinds = {}
    for place in script.PLACES:
        model = script.placed(place, images, 3, 10, 0)
        layers = networks.normalization_layers(model)
        kinds[place] = "".join(layer.kind[0] for layer in layers.values())
        outputs = model(images.train_inputs)
        mean, spread = outputs.mean(0).abs().max().item(), outputs.std(0, correction=0)
        assert (mean < 1e-5) == (place in ("mean", "last"))
        assert (abs(spread.mean().item() - 1) < 1e-3) == (place == "last")
    assert kinds == {"none": "nnn", "first": "bnn", "hidden": "bbb", "mean": "nnn", "last": "nnnb"}


def test_a_linear_network_descends_below_the_bound(script):
    images = script.digits(64)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10, bias=False))
    found = networks.fisher_eigenvalues(model, images.train_inputs, loss="squared", tolerance=1e-4)
    bound = 2 / found["fisher_eigenvalue"].item()
    with torch.no_grad():  # all of the loss is in the steepest direction
        x = images.train_inputs.flatten(1)
        direction = torch.linalg.eigh(x.T @ x)[1][:, -1]
        model[1].weight.copy_(1e3 * direction.expand(10, 64))
    assert script.descends(model, images, 0.99 * bound)
    assert not script.descends(model, images, 1.01 * bound)


def test_verdicts_say_what_the_numbers_do(script):
    rng = np.random.default_rng(0)
    noise = 1 + 1e-3 * rng.standard_normal((5, 1, 8))
    levels = {
        "fisher_eigenvalue": [8, 7, 6, 1, 1],
        "largest_rate": [1, 2, 3, 4, 4],
        "rate_by_bound": [1, 1, 1, 1, 2],
    }
    dims = ("place", "width", "replica")
    data = {n: (dims, np.array(v)[:, None, None] * noise) for n, v in levels.items()}
    coordinates = {"place": list(script.PLACES), "width": [32]}
    known = xr.Dataset(
        {"fisher_eigenvalue": (dims[:2], [[8.0], [2.0]])},
        {"place": list(script.KNOWN), "width": [32]},
    )
    accuracy = [[0.9, 0.1], [0.9, 0.1], [0.9, 0.3], [0.8, 0.8]]  # none, first, last, hidden
    trained = xr.Dataset(
        {
            "test_accuracy": (
                ("place", "learning_rate", "replica"),
                np.array(accuracy)[..., None] + 1e-3 * rng.standard_normal((4, 2, 8)),
            )
        },
        {"place": list(script.TRAINED), "learning_rate": [0.1, 1.0]},
    )
    groups = {"networks": xr.Dataset(data, coordinates), "theory": known, "training": trained}
    said = script.verdicts(xr.DataTree.from_dict(groups))["verdict"].tolist()
    assert said[:6] == ["reproduced"] * 6
    expected = ["reproduced", "with a correction", *["reproduced"] * 4, "with a correction"]
    assert said[6:13] == expected
    assert said[13:16] == ["reproduced", "reproduced", "with a correction"]
    assert said[16:] == ["not seen", "not seen", "with a correction"]


def test_the_largest_rate_is_interpolated(script):
    accuracy = xr.DataArray(
        [[0.9, 0.9, 0.1], [0.9, 0.7, 0.3], [0.9, 0.9, 0.9], [0.2, 0.2, 0.2]],
        {"learning_rate": [0.1, 1.0, 10.0]},
        ("replica", "learning_rate"),
    )
    middle = (0.1 + 0.725) / 2  # of the mean at the best rate
    tens = [
        np.interp(-middle, [-0.9, -0.1], [0, 1]),
        np.interp(-middle, [-0.7, -0.3], [0, 1]),
        1,
        -1,
    ]
    np.testing.assert_allclose(script.largest_rate(accuracy) / np.log(10), tens)
