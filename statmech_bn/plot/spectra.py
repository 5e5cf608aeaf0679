"""Figures of products of random matrices: spectra beside the Fuss–Catalan law, conditions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from statmech_bn.checks import integers
from statmech_bn.errors import invalid
from statmech_bn.plot.nesting import check_nesting
from statmech_bn.plot.replicas import log_points, logarithm
from statmech_bn.plot.style import (
    axis_label,
    legend_handle,
    make_panels,
    palette,
    paper_style,
    student_styles,
)
from statmech_bn.verdicts import mean_and_error

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BINS = 24
FULL = 1e15
"""A larger condition number is that of a singular matrix in double precision."""


def spectra(found: xr.Dataset, factors: Sequence[int] = tuple(range(1, 9))) -> Figure:
    """Draw the density of ln x for each number of factors, one panel each, with the law's edge.

    Parameters
    ----------
    found : Dataset
        ``squared_singular_value`` (factors, replica, rank).
    factors : sequence of int

    Returns
    -------
    matplotlib.figure.Figure
    """
    check_nesting("found", found, (), {"squared_singular_value": ("factors", "replica", "rank")})
    factors = integers("factors", factors, 1)
    if not set(factors) <= set(found["factors"].values.tolist()):
        raise invalid("factors", f"some of {found['factors'].values.tolist()}", factors)
    from statmech_bn.depth.products import fuss_catalan_density
    from statmech_bn.symbolic.spectra import fuss_catalan

    with paper_style():
        figure, axes = make_panels(len(factors), 4, (2.1, 2.0), sharey=True)
        colours = palette(len(factors))
        for k, (axis, s) in enumerate(zip(axes, factors, strict=True)):
            values = found["squared_singular_value"].sel(factors=s).values
            edge, dimension = float(fuss_catalan(s).edge), values.shape[1]
            smallest = max(values.min(), edge * 10.0 ** (-2.5 - s))
            bins = np.geomspace(smallest, 1.1 * edge, BINS + 1)
            share = np.stack([np.histogram(v, bins)[0] for v in values]) / dimension
            width, centre = np.diff(np.log(bins)), np.sqrt(bins[1:] * bins[:-1])
            mean, error = mean_and_error(xr.DataArray(share / width, dims=("replica", "bin")))
            points: dict[str, Any] = {"marker": "o", "markersize": 3, "linestyle": ""}
            axis.errorbar(centre, mean, error, color=colours[k], **points)
            x = np.geomspace(smallest, edge * (1 - 1e-9), 400)
            axis.plot(x, x * fuss_catalan_density(s, x), color="0.1", linewidth=0.9)
            axis.axvline(edge, color="0.7", linewidth=0.6, zorder=0)
            axis.set(title=f"$s={s}$", xscale="log", ylim=(0, None))
            if k >= len(factors) - 4:
                axis.set_xlabel(axis_label(found["squared_singular_value"]))
            if k % 4 == 0:
                axis.set_ylabel(r"density of $\ln x$")
        handles = [
            legend_handle("0.1", label="Fuss–Catalan", linewidth=0.9),
            legend_handle(label=f"products, $N={dimension}$", **points),
            legend_handle("0.7", label="edge", linewidth=0.6),
        ]
        figure.legend(handles=handles, loc="outside right center")
    return figure


def condition_numbers(
    products: Mapping[str, xr.Dataset], representations: Mapping[str, xr.Dataset]
) -> Figure:
    """Draw condition numbers of linear maps against factors, and of fields against depth.

    Parameters
    ----------
    products : mapping
        Label → Dataset of ``condition_number`` (factors, replica); the first also has
        ``typical``, from the law, and ``growth``, the exponent per factor.
    representations : mapping
        Label → Dataset of ``condition_number`` (depth, replica).

    Returns
    -------
    matplotlib.figure.Figure
    """
    check_nesting("products", products, (Mapping,), {"condition_number": ("factors", "replica")})
    laws: dict[str, tuple[str, ...]] = {"typical": ("factors",), "growth": ()}
    check_nesting("products", next(iter(products.values())), (), laws)
    depths = {"condition_number": ("depth", "replica")}
    check_nesting("representations", representations, (Mapping,), depths)
    with paper_style():
        figure, (left, right) = make_panels(2, 2, (3.2, 3.0))
        first = next(iter(products.values()))
        factors = first["factors"]
        left.plot(factors, first["typical"], color="0.1")
        start = logarithm(first["condition_number"]).mean("replica").isel(factors=factors.size // 2)
        line = start.item() + first["growth"].item() * (factors - start["factors"].item())
        left.plot(factors, np.exp(line), ":", color="0.1")
        handles = [
            legend_handle("0.1", label="Fuss–Catalan, typical"),
            legend_handle("0.1", label=r"$e^{(\mu_1-\mu_N)s}$", linestyle=":"),
        ]
        styles = student_styles(len(products) + len(representations))
        named = [(left, "factors", products), (right, "depth", representations)]
        used = iter(styles)
        for axis, along, results in named:
            for label, found in results.items():
                style = next(used)
                shown = found["condition_number"].isel({along: slice(0, None, 3)})
                log_points(axis, shown[along], shown, style)
                name = f"map, {label}" if axis is left else f"fields: {label}"
                handles.append(
                    legend_handle(style["color"], label=name, marker=style["marker"], linestyle="")
                )
            axis.set(yscale="log", xlabel=axis_label(found[along]))
        left.set(ylabel=axis_label(first["condition_number"]), title="linear map")
        right.axhspan(FULL, 1e17, color="0.92", linewidth=0, zorder=0)
        right.set(title="fields of a batch", ylim=(1, 1e17))
        figure.legend(handles=handles, loc="outside right center")
    return figure
