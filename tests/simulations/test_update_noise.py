"""The noise of a step is what theory says, in a tiny run, and is drawn."""

import importlib
from pathlib import Path

import numpy as np
import pytest

import statmech_bn as sbn
from statmech_bn import study

pytestmark = pytest.mark.thorough

FOLDER = Path(__file__).parents[2] / "simulations"
SIZES = {"sizes": (8, 32), "replicas": 500, "draws": 20, "groups": 4}


@pytest.fixture(scope="module")
def script():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(FOLDER)
        yield importlib.import_module("update_noise")


@pytest.fixture(scope="module")
def tree(script, tmp_path_factory):
    store = tmp_path_factory.mktemp("update_noise") / "update_noise.zarr"
    with study.results(script, script.Options(**SIZES, store=store)) as tree:
        yield tree


def test_noise_agrees_with_theory(script, tree):
    step = tree["step"].to_dataset()
    for name in script.STUDENTS:
        found = step.sel(student=name)
        assert script.largest_score(found["step_noise"], found["theory"]) < 4.5
    found = tree["network/none"]
    for way in ("with", "without"):
        assert script.largest_score(found[f"noise_{way}"], found[f"theory_{way}"]) < 8  # 4 groups


def test_batch_sizes_do_not_depend_on_each_other(script, tree):
    drawn = np.random.default_rng(0)
    inputs, labels = sbn.depth.teacher_classes(script.SAMPLES, 20, 5, drawn)
    network = sbn.depth.DeepNetwork(4, 20, 20, 5, normalization="batch")
    together = sbn.depth.gradient_noise(network, inputs, labels, [8, 32, 96], 20, 4, 0)
    for way in ("with", "without"):
        name = f"noise_{way}"
        np.testing.assert_array_equal(tree["network/batch"][name], together[name])


def test_figures_are_drawn_from_the_store(script, tree, tmp_path):
    figures = {name: draw() for name, draw in script.figures(tree).items()}
    assert set(figures) == {"step", "network"}
    for key, figure in figures.items():
        figure.savefig(tmp_path / f"{key}.png", dpi=30)
        assert figure.axes[-1].get_xlabel()
        assert figure.legends
    theory = tree["step"].to_dataset().isel(learning_rate=0).sel(student="none")["theory"]
    np.testing.assert_allclose(figures["step"].axes[0].lines[0].get_ydata(), theory)
