"""The script measures what it says: a tiny run, scored against both theories."""

import importlib
from pathlib import Path

import numpy as np
import pytest

import statmech_bn as sbn

FOLDER = Path(__file__).parents[2] / "simulations"


@pytest.fixture(scope="module")
def script():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(FOLDER)
        yield importlib.import_module("gamma_decay")


@pytest.fixture(scope="module")
def tree(script):
    options = script.Options(sizes=(8, 16), samples=4e5, steps=1600, replicas=4)
    return script.simulate(options)


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
        sample = field.inputs.draw(generator, 200_000, dimension)
        drawn = sample @ field.teacher / np.linalg.norm(field.teacher)
        assert drawn.std() == pytest.approx(field.spread, rel=0.02), name
        excess = (drawn**4).mean() / (drawn**2).mean() ** 2 - 3
        assert excess == pytest.approx(field.excess_kurtosis, abs=0.25), name
    assert sum(name.startswith("digits") for name in script.fields()) == 3


def test_the_network_follows_the_kurtosis(script, tree):
    found = {n.name: n.to_dataset() for n in tree["inputs"].children.values()}
    shifts = {
        name: d.attrs["batch_size"] * (1 - d["gamma"].mean().item()) for name, d in found.items()
    }
    assert shifts["uniform"] < shifts["laplace"]  # 0.60 and 1.13; errors of 0.1


def test_correlated_decay_follows_batch_normalization_more_closely(script, tree):
    for name in script.ACTIVATIONS:
        table = script.distances(tree, name)
        apart = {key: table.loc[label] for key, label in script.STUDENTS.items() if key != "batch"}
        for variable in ("gamma", "all"):
            assert apart["correlated"][variable] < 0.6 * apart["independent"][variable]
        assert apart["independent"]["overlap"] < apart["correlated"]["overlap"]
        assert apart["slowed"]["overlap"] < 0.5 * apart["correlated"]["overlap"]


def test_the_store_keeps_everything_that_is_drawn(script, tree, tmp_path):
    store = sbn.save(tree, tmp_path / "gamma_decay.zarr")
    with sbn.open(store) as opened:
        figures = script.figures(opened)
        assert "effective_gamma_decay" in opened["trajectories/relu/batch/mesoscopic"]
    assert {"shrinkage", "parts", "kurtosis", "landscape", "trajectories", "effective"} == set(
        figures
    )
    theory, exact = figures["shrinkage"].axes[0].lines[1], tree["shrinkage/linear"]["correlated"]
    np.testing.assert_allclose(theory.get_ydata(), 1 - exact)
    for figure in figures.values():
        for axis in figure.axes:
            assert axis.get_xlabel() or not axis.xaxis.get_tick_params()["labelbottom"]
