"""The script measures what it says: a tiny run, scored against both theories."""

import importlib
from pathlib import Path

import numpy as np
import pytest

from statmech_bn import study

pytestmark = pytest.mark.thorough

FOLDER = Path(__file__).parents[2] / "simulations"


@pytest.fixture(scope="module")
def script():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(FOLDER)
        yield importlib.import_module("gamma_decay")


@pytest.fixture(scope="module")
def tree(script, tmp_path_factory):
    sizes = {"sizes": (8, 16), "samples": 4e5, "steps": 1600, "replicas": 4}
    store = tmp_path_factory.mktemp("gamma_decay") / "store.zarr"
    with study.results(script, script.Options(store=store, **sizes)) as tree:
        yield tree


def test_the_chain_tells_the_theories_apart(script, tree):
    for name in script.ACTIVATIONS:
        table = script.scores(tree, name)
        assert list(table.index) == [8, 16]
        assert (table["exact: errors away"].abs() < 4.5).all()
        assert (table["independent: errors away"].abs() > 10).all()


def test_other_inputs_are_what_they_are_called(script):
    generator = np.random.default_rng(1)
    for name, field in script.fields().items():
        dimension = field.teacher.size
        sample = field.inputs.draw(generator, 200_000, dimension, "a test")
        drawn = sample @ field.teacher / np.linalg.norm(field.teacher)
        assert drawn.std() == pytest.approx(field.spread, rel=0.02), name
        excess = (drawn**4).mean() / (drawn**2).mean() ** 2 - 3
        assert excess == pytest.approx(field.excess_kurtosis, abs=0.25), name
    assert sum(name.startswith("digits") for name in script.fields()) == 3


def test_the_network_follows_the_kurtosis(script, tree):
    found = tree["inputs"].to_dataset()
    shift = (found["batch_size"] * (1 - found["gamma"])).mean("replica")
    assert shift.sel(inputs="uniform") < shift.sel(inputs="laplace")  # 0.60, 1.13; errors of 0.1
    for name, field in script.fields().items():
        assert found["excess_kurtosis"].sel(inputs=name) == field.excess_kurtosis


def test_the_decay_of_a_student_is_the_one_that_it_is_given(script, tree):
    for level in script.LEVELS:
        found = tree[f"trajectories/{level}"].to_dataset()
        decay = found["effective_gamma_decay"]
        assert (decay.sel(student="population") == 0).all()
        assert (decay.sel(student="slowed") == found["correlated"].sel(student="slowed")).all()
        for name in ("independent", "correlated"):
            assert (decay.sel(student=name) == found[name].sel(student=name)).all()
        linear = found.sel(activation="linear", student="correlated")
        assert linear["correlated"] == pytest.approx(3 / (8 * script.TRAJECTORY_BATCH))
        assert (decay.sel(student="batch").std("time") > 0).all()


def test_correlated_decay_follows_batch_normalization_more_closely(script, tree):
    for name in script.ACTIVATIONS:
        table = script.distances(tree, name)
        apart = {key: table.loc[label] for key, label in script.STUDENTS.items() if key != "batch"}
        for variable in ("gamma", "all"):
            assert apart["correlated"][variable] < 0.6 * apart["independent"][variable]
        assert apart["independent"]["overlap"] < apart["correlated"]["overlap"]
        assert apart["slowed"]["overlap"] < 0.5 * apart["correlated"]["overlap"]


def test_figures_are_drawn_from_the_store(script, tree):
    figures = {name: draw() for name, draw in script.figures(tree).items()}
    assert {"shrinkage", "parts", "kurtosis", "landscape", "trajectories", "effective"} == set(
        figures
    )
    theory, exact = figures["shrinkage"].axes[0].lines[1], tree["shrinkage"]["correlated"][0]
    np.testing.assert_allclose(theory.get_ydata(), 1 - exact)
    for figure in figures.values():
        for axis in figure.axes:
            assert axis.get_xlabel() or not axis.xaxis.get_tick_params()["labelbottom"]
