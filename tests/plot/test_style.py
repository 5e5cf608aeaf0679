"""Figures as they are printed: widths, sizes of text, and colours that lightness tells apart."""

import matplotlib.text
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

import statmech_bn as sbn
from statmech_bn.errors import InvalidSetup, StatmechError
from statmech_bn.plot.style import legend_handle, make_panels, palette, three_digits

DEUTERANOPIA = [
    [0.367322, 0.860646, -0.227968],
    [0.280085, 0.672501, 0.047413],
    [-0.011820, 0.042940, 0.968881],
]
PROTANOPIA = [
    [0.152286, 1.052583, -0.204868],
    [0.114503, 0.786281, 0.099216],
    [-0.003882, -0.048116, 1.051998],
]
"""Machado, Oliveira & Fernandes (2009), full severity, on linear RGB."""


def figure():
    setup, start = sbn.TeacherStudent("linear", "batch", 8), sbn.OrderParameters(overlap=0.1)
    theory = sbn.macroscopic(setup, [0.3, 1, 3], np.linspace(0, 9, 10), start)
    return sbn.plot.trajectories(theory)


@pytest.mark.parametrize("width", [3.4, 7.0])
def test_a_figure_fits_a_column_and_a_page(width):
    fitted = sbn.plot.fit(figure(), width)
    fitted.draw_without_rendering()
    assert fitted.get_figwidth() == width
    [legend] = fitted.legends
    below = legend.get_window_extent().y1 <= min(a.get_window_extent().y0 for a in fitted.axes)
    assert below == (width < 5)
    inside = fitted.bbox.padded(1)
    for axis in fitted.axes:
        assert inside.contains(*axis.get_tightbbox().p0)
        assert inside.contains(*axis.get_tightbbox().p1)
        label = axis.yaxis.label.get_window_extent()
        assert label.height <= axis.get_window_extent().height + 2
    texts = [text for text in fitted.findobj(matplotlib.text.Text) if text.get_text()]
    assert {text.get_fontsize() for text in texts} == {6.5, 7.5}


@pytest.mark.thorough
def test_columns_of_the_legend_can_be_chosen():
    right = sbn.plot.fit(figure(), 5.5, 3.5, legend=0)
    [kept] = right.legends
    right.draw_without_rendering()
    last = max(axis.get_window_extent().x1 for axis in right.axes)
    assert kept.get_window_extent().x0 >= last
    heights = []
    for columns in (1, 2, 4):
        below = sbn.plot.fit(figure(), 7.0, 4.0, legend=columns)
        below.draw_without_rendering()
        heights.append(below.legends[0].get_window_extent().height)
    assert heights[0] > heights[1] > heights[2]


@pytest.mark.parametrize("columns", [None, 3, pytest.param(99, marks=pytest.mark.thorough)])
def test_a_legend_is_no_wider_than_its_figure(columns):
    setup, start = sbn.TeacherStudent("linear", "batch", 8), sbn.OrderParameters(overlap=0.1)
    times, rates = np.linspace(0, 9, 10), np.geomspace(0.1, 9, 7)
    theory = sbn.macroscopic(setup, rates, times, start)
    chain = sbn.mesoscopic(setup, rates, times, start, 100, replicas=2)
    fitted = sbn.plot.fit(sbn.plot.trajectories(theory, chain), 3.4, legend=columns)
    fitted.draw_without_rendering()
    [legend] = fitted.legends
    assert legend.get_window_extent().width <= fitted.bbox.width
    texts = [text.get_text() for text in legend.get_texts()]
    lines = -(-len(texts) // legend._ncols)
    assert texts.index(r"theory, $N\to\infty$") % lines == 0  # levels begin a column


def test_long_labels_are_broken_between_words():
    drawn = figure()
    drawn.axes[0].set_ylabel(r"share of the fields that all points have in common $\mu^2/h^2$")
    fitted = sbn.plot.fit(drawn, 3.4, 3.2)
    first, second = fitted.axes[0].get_ylabel().split("\n")
    assert first.startswith("share of the fields")
    assert second.endswith(r"common $\mu^2/h^2$")


def test_numbers_of_a_legend_have_powers_of_ten():
    numbers = [0.0, 0.09527, 98.13, 990.4, 999.7, 1e4, -2.34e-7, np.inf]
    written = ["0", "0.0953", "98.1", "990", r"$10^{3}$", r"$10^{4}$"]
    written += [r"$-2.34\times 10^{-7}$", "inf"]
    assert [three_digits(number) for number in numbers] == written


def test_units_are_not_broken():
    drawn = figure()
    drawn.axes[0].set_ylabel("time to a tenth of the first error (steps / $N$)")
    fitted = sbn.plot.fit(drawn, 3.4, 3.2)
    assert fitted.axes[0].get_ylabel().endswith("(steps / $N$)")


@pytest.mark.parametrize("size", [{"height": 1.6}, {"legend": 0}])
def test_panels_need_room(size):
    with pytest.raises(InvalidSetup, match=r"room for panels.*wider or higher"):
        sbn.plot.fit(figure(), 3.4, **size)


def test_no_figure_has_a_size_in_points():
    with pytest.raises(InvalidSetup, match=r"width.*inches"):
        sbn.plot.fit(figure(), 246)


def test_a_figure_without_panels_is_refused():
    with pytest.raises(InvalidSetup, match="a figure with panels"):
        sbn.plot.fit(Figure(), 3.4)


@pytest.mark.parametrize("number", [3, 30, 70])
def test_every_entry_of_a_legend_is_within_its_figure(number):
    made, (axis,) = make_panels(1, 1, (3.0, 2.0))
    handles = [legend_handle(label=f"student {k}") for k in range(number)]
    legend = made.legend(handles=handles, loc="outside right center")
    made.draw_without_rendering()
    assert [text.get_text() for text in legend.get_texts()] == [h.get_label() for h in handles]
    inside = made.bbox
    for text in legend.get_texts():
        box = text.get_window_extent()
        assert inside.x0 <= box.x0 < box.x1 <= inside.x1
        assert inside.y0 <= box.y0 < box.y1 <= inside.y1
    assert axis.get_window_extent().width > 1.5 * made.dpi


@pytest.mark.parametrize("name", ["figure.png", "figure.PDF", "figure"])
def test_a_suffix_is_not_written_twice(tmp_path, name):
    paths = sbn.plot.save_figure(figure(), tmp_path / name)
    assert paths == (tmp_path / "figure.png", tmp_path / "figure.pdf")
    assert sorted(tmp_path.iterdir()) == sorted(paths)
    kept = sbn.plot.save_figure(figure(), tmp_path / "rate_0.3")
    assert kept[0].name == "rate_0.3.png"
    with pytest.raises(InvalidSetup, match=r"without a suffix.*PNG and PDF"):
        sbn.plot.save_figure(figure(), tmp_path / "figure.svg")


@pytest.mark.parametrize("seen", [np.eye(3), DEUTERANOPIA, PROTANOPIA])
@pytest.mark.parametrize("number", range(2, 9))
def test_lightness_orders_the_colours(number, seen):
    colours = np.array(palette(number))
    linear = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
    luminance = np.clip(linear @ np.transpose(seen), 0, 1) @ [0.2126, 0.7152, 0.0722]
    lightness = 116 * np.cbrt(luminance) - 16  # CIE L*, of which 2.3 is just noticeable
    assert (np.diff(lightness) < -4.6).all()


def test_a_saved_figure_keeps_its_layout_and_its_panels(tmp_path):
    made, (axis,) = make_panels(1, 1, (3.0, 2.0))
    axis.set_ylabel("a label\nof two lines")
    layout = made.get_layout_engine()
    sbn.plot.save_figure(made, tmp_path / "figure")
    assert made.get_layout_engine() is layout
    place = axis.get_position().bounds
    made.savefig(tmp_path / "again.pdf", dpi=200)
    np.testing.assert_allclose(axis.get_position().bounds, place, atol=2e-3)
    assert place != (0.125, 0.11, 0.775, 0.77), "it was laid out"


ATTRIBUTES = [
    ("", "level", ["macroscopic"], "level: expected"),
    ("", "setup", "{", "readable JSON"),
    ("", "setup", "[1]", "does not describe a setup"),
    ("", "setup", 3, "not a text"),
    ("", "dimension", "abc", None),
    ("", "start", [1], None),
    ("overlap", "symbol", r"$\frac{$", None),
    ("overlap", "symbol", "$" + "{" * 3000 + "x" + "}" * 3000 + "$", None),
    ("overlap", "symbol", 3, None),
    ("overlap", "long_name", ["a"], None),
    ("gamma", "long_name", r"$\input{/etc/passwd}$", None),
    ("time", "units", "$}$ N", None),
    ("time", "units", 3, None),
]


@pytest.mark.parametrize(("variable", "name", "value", "refused"), ATTRIBUTES)
def test_attributes_of_a_stranger_are_drawn_or_refused(variable, name, value, refused):
    """A formula that cannot be read is drawn as it is."""
    setup, start = sbn.TeacherStudent("linear", "weight", 8), sbn.OrderParameters(0.1)
    run = sbn.mesoscopic(setup, 0.3, [0, 0.5, 1], start, 10, replicas=2)
    (run[variable] if variable else run).attrs[name] = value
    if refused:
        with pytest.raises(StatmechError, match=refused):
            sbn.plot.trajectories(run)
    else:
        drawn = sbn.plot.trajectories(run)
        FigureCanvasAgg(drawn).draw()
        shown = [text.get_text() for text in drawn.findobj(matplotlib.text.Text)]
        if variable and isinstance(value, str):
            assert any(value.replace("N", "$N$") in text for text in shown)
