"""Figures show what the Datasets hold, at every level, also where runs diverge."""

import subprocess
import sys

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr
from matplotlib.backends.backend_agg import FigureCanvasAgg

import statmech_bn as sbn

RATES = [1.0, 2.0, 20.0]  # the last one diverges: 2M = 8
START = sbn.OrderParameters(overlap=0.1)
NONE = sbn.TeacherStudent("linear", "none", batch_size=4, label_noise=0.5)
WEIGHT = sbn.TeacherStudent("linear", "weight", batch_size=4, label_noise=0.5)


def levels(setup, time):
    return (
        sbn.macroscopic(setup, RATES, time, START),
        sbn.mesoscopic(setup, RATES, time, START, dimension=50, replicas=5),
        sbn.microscopic(setup, RATES, time, START, dimension=50, replicas=2),
    )


@pytest.fixture(scope="module")
def none():
    return levels(NONE, np.linspace(0, 20, 41))


@pytest.fixture(scope="module")
def weight():
    return levels(WEIGHT, np.geomspace(0.1, 20, 41))


def lines_with(axis, marker):
    return [line for line in axis.lines if line.get_marker() == marker]


def triangles(axis):
    return [x for line in lines_with(axis, "^") for x in line.get_xdata()]


def test_a_learning_rate_has_one_colour_at_all_levels(weight):
    figure = sbn.plot.trajectories(*weight)
    for axis in figure.axes:
        curves, chain, network = axis.lines[:3], axis.containers[:3], axis.containers[3:]
        for k in range(3):
            colour = curves[k].get_color()
            assert chain[k].lines[0].get_color() == colour
            assert network[k].lines[0].get_color() == colour


def test_labels_come_from_the_attributes(weight):
    figure = sbn.plot.trajectories(*weight)
    assert [axis.get_ylabel() for axis in figure.axes] == [
        "overlap $R$",
        "length $L$",
        r"scale parameter $\gamma$",
        r"generalization error $\varepsilon_g$",
    ]
    assert {axis.get_xlabel() for axis in figure.axes} == {"time $t$ (steps / $N$)"}
    assert [axis.get_yscale() for axis in figure.axes] == ["linear", "log", "linear", "log"]
    [legend] = figure.legends
    assert legend.get_title().get_text() == r"learning rate $\eta$"
    assert [text.get_text() for text in legend.get_texts() if text.get_text()] == [
        "1", "2", "20", r"theory, $N\to\infty$", "chain, $N = 50$", "network, $N = 50$",
    ]  # fmt: skip


def test_points_are_the_mean_and_the_standard_error_over_replicas(weight):
    chain = weight[1]
    figure = sbn.plot.trajectories(chain=chain, variables=["overlap"], points=41)
    container = figure.axes[0].containers[0]
    overlap = chain["overlap"].isel(learning_rate=0)
    x, y = container.lines[0].get_data()
    np.testing.assert_allclose(x, chain["time"])
    np.testing.assert_allclose(y, overlap.mean("replica"))
    half = [(bar[1, 1] - bar[0, 1]) / 2 for bar in container.lines[2][0].get_segments()]
    np.testing.assert_allclose(half, overlap.std("replica", ddof=1) / np.sqrt(5), atol=1e-12)


def test_points_are_thinned(weight):
    figure = sbn.plot.trajectories(chain=weight[1], network=weight[2], variables=["overlap"])
    first, second = (figure.axes[0].containers[k].lines[0].get_xdata() for k in (0, 3))
    assert 10 <= first.size <= 21
    assert not set(first) & set(second)


def test_trajectories_mark_runs_that_diverge(none):
    figure = sbn.plot.trajectories(*none, variables=["length", "generalization_error"])
    expected = [d["diverged_at"].min().item() for d in none]
    for axis in figure.axes:
        np.testing.assert_allclose(triangles(axis), expected)
        assert axis.get_ylim()[1] < 1000  # the others stay readable
    assert "diverges" in [text.get_text() for text in figure.legends[0].get_texts()]


def test_one_replica_that_diverges_is_marked(weight):
    chain = weight[1].copy(deep=True)
    chain["diverged_at"][0, 3] = 5.0
    for name in sbn.plot.VARIABLES:
        chain[name][0, 3] = chain[name][0, 3].where(chain["time"] < 5, np.inf)
    figure = sbn.plot.trajectories(chain=chain)
    assert all(triangles(axis) == [5.0] for axis in figure.axes)
    assert np.isnan(figure.axes[0].containers[0].lines[0].get_ydata()[-1])
    figure = sbn.plot.final_error({"": {"weight": [chain]}})
    assert triangles(figure.axes[0]) == [1.0]


def test_one_learning_rate_or_one_replica_is_enough(weight):
    theory, chain = weight[0].sel(learning_rate=2), weight[1].isel(replica=[0])
    figure = sbn.plot.trajectories(theory, chain.sel(learning_rate=2), variables=["gamma"])
    assert len(figure.axes[0].containers) == 1
    sbn.plot.final_error({"linear": {"weight": [theory, chain]}})


def test_final_error_shows_where_a_student_diverges(none, weight):
    panels = {"linear": {"none": none, "weight": weight}, "again": {"weight": weight}}
    figure = sbn.plot.final_error(panels)
    left, right = figure.axes
    assert set(triangles(left)) == {20.0}
    assert triangles(right) == []
    shade = left.patches[0].get_extents().transformed(left.transData.inverted())
    assert 2 < shade.x0 < 20 < shade.x1
    curve = left.lines[0]
    theory = none[0]["generalization_error"].isel(time=-1)
    np.testing.assert_allclose(curve.get_ydata(), theory.where(np.isfinite(theory)))
    assert left.get_xlabel() == r"learning rate $\eta$"
    assert [axis.get_title() for axis in figure.axes] == ["linear", "again"]


def test_students_and_learning_rates_differ_in_grey(none, weight):
    figure = sbn.plot.final_error({"": {name: weight for name in "abcd"}})
    lines = [line for line in figure.axes[0].lines if line.get_marker() == "None"]
    lines = [line for line in lines if line.get_linestyle() != "None"]
    grey = np.array([line.get_color() for line in lines]) @ [0.299, 0.587, 0.114]
    assert (np.diff(grey) < -0.05).all()
    assert len({line.get_linestyle() for line in lines}) == 4


def test_saving_twice_gives_the_same_bytes(none, tmp_path):
    for folder in ("first", "second"):
        paths = sbn.plot.save_figure(sbn.plot.trajectories(*none), tmp_path / folder / "a.b")
        assert [path.name for path in paths] == ["a.b.png", "a.b.pdf"]
    for name in ("a.b.png", "a.b.pdf"):
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()
    pdf = (tmp_path / "first" / "a.b.pdf").read_bytes()
    assert b"/FontFile2" in pdf  # TrueType, embedded
    assert b"/Type3" not in pdf
    assert b"/CreationDate" not in pdf


def test_pyplot_keeps_no_figure(weight):
    before = plt.get_fignums()
    sbn.plot.trajectories(*weight)
    sbn.plot.final_error({"": {"weight": weight}})
    assert plt.get_fignums() == before


def test_importing_the_package_does_not_import_matplotlib():
    code = "import sys, statmech_bn; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_bad_arguments_are_named(weight):
    theory = weight[0]
    invalid = sbn.errors.InvalidSetup
    with pytest.raises(invalid, match="at least one Dataset"):
        sbn.plot.trajectories()
    with pytest.raises(invalid, match="at least one entry"):
        sbn.plot.final_error({})
    with pytest.raises(invalid, match=r"variables: .*overlap.* got 'error'"):
        sbn.plot.trajectories(theory, variables=["error"])
    with pytest.raises(invalid, match=r"variables: expected a list .*'overlap'"):
        sbn.plot.trajectories(theory, variables="overlap")
    with pytest.raises(invalid, match=r"panels: expected a mapping"):
        sbn.plot.final_error([theory])
    with pytest.raises(invalid, match=r"panels: expected Dataset, got 'overlap'"):
        sbn.plot.final_error({"ReLU": {"batch norm.": ["overlap"]}})
    with pytest.raises(invalid, match=r"variables: .*at least one"):
        sbn.plot.trajectories(theory, variables=[])
    with pytest.raises(invalid, match="points"):
        sbn.plot.trajectories(theory, points=0)
    with pytest.raises(invalid, match=r"level: .*macroscopic"):
        sbn.plot.trajectories(theory.drop_attrs())


def legend_of(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_results_that_do_not_belong_together_are_named(weight, none):
    assert not any("differ" in text for text in legend_of(sbn.plot.trajectories(*weight)))
    with pytest.warns(sbn.errors.FigureWarning, match="differ in normalization:"):
        figure = sbn.plot.trajectories(weight[0], none[1], variables=["overlap"])
    assert legend_of(figure)[-1] == "they differ in\nnormalization"
    with pytest.warns(sbn.errors.FigureWarning, match="normalization"):
        sbn.plot.final_error({"": {"": [weight[0], none[1]]}})
    structured = sbn.macroscopic(
        WEIGHT, RATES, [0, 1], START, inputs=sbn.Spectrum([2, 0.5], fractions=[0.5, 0.5])
    )
    with pytest.warns(sbn.errors.FigureWarning, match="differ in inputs:"):
        sbn.plot.trajectories(structured, weight[1], variables=["overlap"])
    sbn.plot.final_error({"": {"one": [weight[0]], "another": [none[1]]}})


def test_rates_are_sorted_and_not_all_are_named():
    rates = np.geomspace(0.1, 1.0, 25)[np.random.default_rng(0).permutation(25)]
    theory = sbn.macroscopic(WEIGHT, rates, [0.0, 1.0, 2.0], START)
    figure = sbn.plot.final_error({"": {"": [theory]}})
    drawn = figure.axes[0].lines[0].get_xdata()
    assert (np.diff(drawn) > 0).all()
    named = legend_of(sbn.plot.trajectories(theory, variables=["overlap"]))
    assert [named[0], named[11]] == ["0.1", "1"]
    assert len(named) == 12 + 2


def test_one_time_and_a_node_of_a_tree_are_refused(weight):
    with pytest.raises(sbn.errors.InvalidSetup, match=r"two times.*final_error"):
        sbn.plot.trajectories(weight[0].isel(time=[-1]))
    with pytest.raises(sbn.errors.InvalidSetup, match=r"to_dataset\(\)"):
        sbn.plot.trajectories(xr.DataTree(weight[0]))


def test_short_logarithmic_axes_have_plain_ticks(weight):
    figure = sbn.plot.final_error({"": {"": [weight[0].isel(learning_rate=[0, 1])]}})
    figure.axes[0].set_xlim(15, 250)
    FigureCanvasAgg(figure).draw()
    named = [tick.label1.get_text() for tick in figure.axes[0].xaxis.minorTicks]
    assert r"$\mathdefault{20}$" in named
    assert not any("times" in text for text in named)
