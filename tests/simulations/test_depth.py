"""The scripts of deep networks measure what they say, in tiny runs, and draw it."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from statmech_bn import study

sys.path.insert(0, str(Path(__file__).parent))
from drawn import draws

pytestmark = pytest.mark.thorough

FOLDER = Path(__file__).parents[2] / "simulations"
TINY = {
    "depth_correlation": {"width": 100, "depth": 4, "networks": 4, "batch_size": 64},
    "exploding_updates": {"width": 32, "depth": 5, "depths": (1, 3), "replicas": 2, "samples": 32},
    "gradient_alignment": {
        "width": 24, "depth": 4, "replicas": 3, "samples": 24, "widths": (16, 64),
    },
    "batch_depth": {
        "width": 60, "layers": 7, "networks": 4, "batch_sizes": (8, 32), "depths": (1, 4),
        "steps": 64, "runs": 2,
    },
    "residual_depth": {"depths": (1, 6), "width": 100, "batch_size": 100, "networks": 6},
    "matrix_products": {"dimension": 40, "replicas": 8, "depth": 10},
    "initial_gain": {
        "width": 32, "depth": 8, "samples": 48, "replicas": 4, "gains": (0.2, 1.4), "epochs": 1,
        "runs": 2,
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def scripts():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(FOLDER)
        scripts = {name: importlib.import_module(name) for name in TINY}
        patch.setattr(scripts["initial_gain"], "TRAINED", {"depth": 3, "width": 16})
        yield scripts


@pytest.fixture(scope="module")
def trees(scripts, tmp_path_factory):
    folder = tmp_path_factory.mktemp("depth")
    return {
        name: study.results(
            script, script.Options(preset="quick", store=folder / f"{name}.zarr", **TINY[name])
        )
        for name, script in scripts.items()
    }


def shown(tree):
    """For each script, what the panels of its figures show: (figure, panel) → numbers."""
    late = tree["depth_correlation"]["depth/late"].to_dataset().sel(activation="relu")
    deep = tree["depth_correlation"]["depth/network"].sel(activation="tanh", normalization="batch")
    steps, stable = (tree["exploding_updates"][name] for name in ("step", "largest"))
    alignment = tree["gradient_alignment"]
    squares = tree["initial_gain"]["gradients"].sel(activation="tanh", normalization="none")
    fields, products = tree["residual_depth"], tree["matrix_products"]
    return {
        "depth_correlation": {
            ("depth", 0): [late["late"], 1 - late["correlation"].isel(start=1)],
            ("depth", 3): [
                deep["theory"].isel(start=0),
                deep["correlation"].isel(start=0, depth=slice(1, None)),
            ],
        },
        "exploding_updates": {
            ("moments", 3): [
                np.exp(
                    np.log(steps["channel_variance"])
                    .sel(normalization="batch").isel(learning_rate=2).mean("replica")
                )
            ],
            ("growth", 0): [
                steps["growth"].sel(normalization=name).isel(learning_rate=slice(1, None))
                for name in ("none", "batch")
            ],
            ("largest", 0): [
                np.exp(
                    np.log(stable["largest_step"]).sel(normalization="none").isel(factor=0)
                    .mean("replica")
                )
            ],
        },
        "gradient_alignment": {
            ("layers", 0): [
                alignment["dense/none"]["gradient_alignment"].isel(gain=1),
                alignment["dense/batch"]["alignment_behind"].isel(gain=0),
            ],
            ("layers", 1): [alignment["dense/batch"]["gradient_alignment"].isel(gain=0)],
            ("axes", 1): [
                alignment["convolution"]["alignment_channels"].sel(normalization="batch")
            ],
            ("coherence", 0): [
                alignment["width"]["gradient_coherence"].sel(width=64),
                alignment["width"]["theory"].sel(width=64),
            ],
        },
        "batch_depth": {
            ("growth", 0): [
                tree["batch_depth"][f"size/{kind}"]["gradient_multiplier"].sel(activation="relu")
                for kind in ("theory", "network")
            ],
        },
        "residual_depth": {
            (kind, 1): [
                fields[level][f"{kind}_square"].sel(activation="tanh").isel(network=1)
                for level in ("theory", "network")
            ]
            for kind in ("field", "gradient")
        },
        "matrix_products": {
            ("conditions", 0): [
                products["law"]["typical"]
                .isel(dimension=0).reindex(factors=products["product"]["factors"])
            ],
        },
        "initial_gain": {
            ("gradients", 1): [
                squares["theory"].sel(gain=2.0),
                squares["gradient_square"].sel(gain=2.0).isel(layer=slice(None, None, 2)),
            ],
        },
    }  # fmt: skip


@pytest.mark.parametrize("name", TINY)
def test_figures_are_drawn_from_the_store(name, scripts, trees, tmp_path):
    figures = {key: draw() for key, draw in scripts[name].figures(trees[name]).items()}
    for key, figure in figures.items():
        figure.savefig(tmp_path / f"{key}.png", dpi=30)
        assert figure.legends
    for (key, panel), numbers in shown(trees)[name].items():
        for values in numbers:
            assert draws(figures[key].axes[panel], values), (key, panel, values.name)


def test_maps_agree_with_networks(scripts, trees):
    scores = scripts["depth_correlation"].scores(trees["depth_correlation"])
    assert (scores.abs() < 4.5).all(axis=None)
    theory = trees["depth_correlation"]["depth/late"].to_dataset().sel(activation="relu")
    assert theory["late"].sel(depth=40).item() == pytest.approx(4.5 * np.pi**2 / 1600)
    # Theory starts from fields that networks have, which are those asked for without normalization.
    found = trees["depth_correlation"]["depth/network"].to_dataset()
    plain = found.sel(activation="relu", normalization="none")
    np.testing.assert_allclose(
        plain["theory"], theory["correlation"].sel(depth=plain["depth"]), rtol=0, atol=1e-12
    )


def test_growth_against_the_step(scripts, trees):
    slope, error = scripts["exploding_updates"].growth_exponent(trees["exploding_updates"], "none")
    assert abs(slope - 2) < 0.03 + 3 * error
    slope, error = scripts["exploding_updates"].growth_exponent(trees["exploding_updates"], "batch")
    assert slope < 0.05


def test_sums_before_normalization_vanish(scripts, trees):
    assert scripts["gradient_alignment"].largest_sum(trees["gradient_alignment"]) < 1e-14


def test_moments_agree_with_the_law(scripts, trees):
    for order in (1, 2):
        table = scripts["matrix_products"].moments(trees["matrix_products"], order)
        assert (table["errors away"].abs() < 5).all()  # eight products


def test_multipliers_agree_with_the_mean_field(scripts, trees):
    table = scripts["initial_gain"].multipliers(trees["initial_gain"])
    apart = np.abs(table["measured"] - table["mean field"])
    assert (apart < 4.5 * table["standard error"] + 0.12 * table["mean field"]).all()
    same = table.filter(like="batch norm.", axis=0)["measured"].groupby(lambda k: k.split(",")[0])
    assert (same.std() < 1e-6).all()


def test_growth_agrees_with_the_fixed_point_of_the_batch(scripts, trees):
    script, tree = scripts["batch_depth"], trees["batch_depth"]
    table = script.scores(tree)
    assert (table["in standard errors"] < 9).all()  # of four networks 60 wide
    found = tree["size/theory"]["gradient_multiplier"].sel(activation="relu", batch_size=8)
    assert found.item() == pytest.approx(1.788190)
    decided = script.claims(tree)
    assert all(study.decide(*pair) for pair in decided.values())
    effect, rest = decided["A smaller γ, a larger β and a larger ε make χ smaller"]
    assert all((part.mean("replica") > 0).all() for part in effect)
    assert len(rest) == len(script.REMEDIES)


def test_the_depth_that_trains_is_interpolated(scripts):
    script = scripts["batch_depth"]
    fall = np.array([1.6, 2.0, 0.7, 0.5])  # half of the best, 1, lies 10/13 of the way
    still = np.array([1.6, 2.0, 1.5, 1.2])
    rates = np.array([0.5, 1.0, 0.9])[:, None, None]
    falls = np.stack([rates * [values, values] for values in (fall, still)])
    training = xr.Dataset(
        {"batch_loss": (("batch_size", "learning_rate", "replica", "depth"), np.log(10) - falls)},
        {"batch_size": [8, 64], "learning_rate": [0.1, 0.2, 0.3], "depth": [4, 8, 14, 20]},
    )
    tree = xr.DataTree.from_dict({"training": training})
    reached = [8 + 6 * 10 / 13, 20.0]  # of larger batches the deepest train
    np.testing.assert_allclose(script.learned_depth(tree).mean("replica"), reached)
    table = script.depths(tree)
    assert table.iloc[:, -1].tolist() == [0, 1]
    assert table["ratio"].iloc[0] == pytest.approx(reached[0] / 27.5291, rel=1e-5)


def test_residual_networks_grow_as_the_maps_say(scripts, trees):
    script, tree = scripts["residual_depth"], trees["residual_depth"]
    for name in ("field_square", "gradient_square"):
        mean, error = study.mean_and_error(script.apart(tree, name))
        assert (abs(mean) < 5 * error + 0.06).all()
    decided = {claim: study.decide(*pair) for claim, pair in script.claims(tree).items()}
    decided.pop("Behind the sum gradients go on growing exponentially")  # in deeper networks
    assert not {"fails", "not seen", "the opposite"} & set(decided.values())
