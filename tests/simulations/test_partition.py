"""The script measures what it says, on a few small networks."""

import importlib
from pathlib import Path

import numpy as np
import pytest

import statmech_bn as sbn
from statmech_bn import study

pytestmark = pytest.mark.thorough

FOLDER = Path(__file__).parents[2] / "simulations"


@pytest.fixture(scope="module")
def script():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(FOLDER)
        module = importlib.import_module("partition")
        patch.setattr(module, "SHIFTS", (0.0, module.DRAWN))
        yield module


@pytest.fixture(scope="module")
def tree(script, tmp_path_factory):
    store = tmp_path_factory.mktemp("partition") / "partition.zarr"
    with study.results(script, script.Options(networks=2, store=store)) as tree:
        yield tree


def test_scenes_look_at_the_same_points(script):
    for name in script.TITLES:
        plain, batch = (script.scene(name, s, script.DRAWN, 3, 0) for s in script.STUDENTS)
        np.testing.assert_array_equal(plain.points, batch.points)
        assert (plain.points**2).mean() == pytest.approx(
            1 + (script.DRAWN**2 / 2 if name in script.CLOUDS else 0), rel=1e-9
        )


def test_digits_lie_in_their_section(script):
    seen = script.scene("digits", "batch", 0.0, 1, 0)
    images = script.pixels()
    chosen = images[np.random.default_rng(1000).choice(len(images), 3, replace=False)]
    widths = (64, *script.WIDTHS)
    whole = sbn.geometry.ReluNetwork.random(widths, 1000).with_batch_statistics(images)
    for found, expected in zip(seen.network.fields(seen.points), whole.fields(chosen), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-10)


def test_only_the_network_without_normalization_sees_where_the_data_are(script, tree):
    density = tree["density/clouds"]["density"].sel(radius=script.NEAR)
    for name in script.CLOUDS:
        plain, batch = (density.sel(data=name, student=s) for s in script.STUDENTS)
        np.testing.assert_allclose(batch.sel(shift=0.0), batch.sel(shift=script.DRAWN), atol=0.01)
        assert plain.sel(shift=script.DRAWN).mean() < 0.8 * batch.mean()


def test_every_claim_has_a_number(script, tree):
    table = script.claims(tree)
    assert np.isfinite(table[["measured", "standard error"]].values).all()
    first = table[table["quantity"] == "(c* − μ)/σ, layer 1"]
    assert len(first) == len(script.TITLES)
    assert (abs(first["measured"]) < 1e-10).all()
    assert set(table["data"]) == set(script.TITLES.values())
    pieces = script.piece_errors(tree)
    assert (pieces.xs(1, level="layer")["same piece"] == 1).all()


def test_the_store_keeps_everything_that_is_drawn(script, tree):
    figures = {name: draw() for name, draw in script.figures(tree).items()}
    assert tree["drawn/moons/batch"].attrs["units"] == list(script.WIDTHS)
    assert set(figures) == {"cells", "density", "shift", "offset"}
    drawn = tree["drawn/moons/none"]
    layers = figures["cells"].axes[0].collections
    shown = [len(collection.get_segments()) for collection in layers]
    assert sum(shown) == drawn.sizes["boundary"]
    parabola = figures["offset"].axes[0].lines[0]
    np.testing.assert_allclose(parabola.get_ydata(), 1 + parabola.get_xdata() ** 2)
