"""Where γ stops under batch statistics, and what penalty they are worth."""

from __future__ import annotations

import numpy as np
import xarray as xr

from paper.number import Claim, averaged, count, mean, number, setting
from simulations import gamma_decay as script

SIZE = 16
"""The batch size that is quoted, of every preset."""


def shift(tree: xr.DataTree, activation: str, size: int) -> xr.DataArray:
    """Return M(1 − γ) of every run."""
    gamma = tree["shrinkage"]["gamma"].sel(activation=activation, batch_size=size)
    return size * (1 - gamma)


def kurtosis_slope(tree: xr.DataTree) -> tuple[float, float]:
    """Fit d[M(1 − γ)]/dρ_h over all inputs, replica by replica."""
    found = tree["inputs"].to_dataset()
    values = (found["batch_size"] * (1 - found["gamma"])).transpose("replica", "inputs").values
    slopes = [np.polyfit(found["excess_kurtosis"].values, row, 1)[0] for row in values]
    return float(np.mean(slopes)), float(np.std(slopes, ddof=1) / np.sqrt(len(slopes)))


def numbers(tree: xr.DataTree) -> dict[str, str]:
    """Return shifts, distances of trajectories and the height of the penalty."""
    found = {
        "batch_size": count(SIZE),
        "landscape_batch": count(script.LANDSCAPE_BATCH),
        "trajectory_batch": count(script.TRAJECTORY_BATCH),
        "kurtosis_slope": number(*kurtosis_slope(tree)),
    }
    sizes = tree["shrinkage"]["batch_size"].values
    for name in script.ACTIVATIONS:
        one = tree["shrinkage"].to_dataset().sel(activation=name, batch_size=SIZE)
        found[f"{name}/shift"] = averaged(shift(tree, name, SIZE))
        found[f"{name}/exact"] = number(SIZE * (1 - float(one["exact"])))
        found[f"{name}/smallest_shift"] = averaged(shift(tree, name, sizes[0]))
        distances = script.distances(tree, name)
        for student in ("population", "independent", "correlated", "slowed"):
            row = distances.loc[script.STUDENTS[student]]
            if student != "slowed":
                found[f"{name}/{student}/gamma"] = number(row["gamma"], digits=2)
            if student != "population":
                found[f"{name}/{student}/overlap"] = number(row["overlap"], digits=2)
        late = tree["trajectories/mesoscopic"]["effective_gamma_decay"]
        late = late.sel(activation=name, student="batch").isel(time=slice(-10, None)).mean("time")
        found[f"{name}/late_decay"] = averaged(script.TRAJECTORY_BATCH * late)
    one = tree["shrinkage"].to_dataset().sel(activation="linear", batch_size=SIZE)
    found["independent"] = number(SIZE * (1 - float(one["independent"])))
    found["smallest"] = count(sizes[0])
    parts = tree["parts"].to_dataset().sel(activation="linear", batch_size=SIZE)
    moved = SIZE * (1 - parts["gamma"] / parts["population"])
    found["part/mean"] = number(float(abs(moved.sel(part="mean")).max()), digits=1)
    found["part/spread"] = averaged(moved.sel(part="spread"))
    landscape = tree["landscape"].to_dataset().sel(activation="linear").isel(gamma=-1)
    unit = script.LANDSCAPE_BATCH
    found["landscape/gamma"] = setting(landscape["gamma"])
    found["landscape/measured"] = averaged(unit * (landscape["loss"] - landscape["population"]))
    for theory in ("penalty", "independent"):
        height = unit * (landscape[theory] - landscape["population"])
        found[f"landscape/{theory}"] = number(float(height), digits=3)
    return found


def claims(tree: xr.DataTree) -> list[Claim]:
    """Judge the decomposition into population normalization and gamma decay."""
    value, error = mean(shift(tree, "linear", SIZE))
    one = tree["shrinkage"].to_dataset().sel(activation="linear", batch_size=SIZE)
    independent, exact = (SIZE * (1 - float(one[name])) for name in ("independent", "exact"))
    off = abs(value - independent) > 3 * error
    found = abs(value - exact) < 4 * error
    slope, slope_error = kurtosis_slope(tree)
    quarter, eighth = (abs(slope - k) < 3 * slope_error for k in (1 / 4, 1 / 8))
    distances = script.distances(tree, "linear")["overlap"]
    plain, independent_decay = (
        distances[script.STUDENTS[s]] for s in ("population", "independent")
    )
    return [
        Claim(
            r"Batch normalization is population normalization with the gamma decay "
            r"$\zeta=3/(4M)$ (linear)", "Luo2019",
            ("corrected" if found else "fails") if off else "holds",
            rf"$M(1-\gamma)={number(value, error)}$ at $M={SIZE}$, published "
            rf"{number(independent)}, exact {number(exact)}",
        ),
        Claim(
            r"The decay grows with the kurtosis, $\zeta\propto\rho_h+6$", "Luo2019",
            "holds" if quarter else ("corrected" if eighth else "not seen"),
            rf"slope {number(slope, slope_error)} of $M(1-\gamma)$ in $\rho_h$; published "
            rf"$1/4$, here $1/8$",
        ),
        Claim(
            "It follows the whole trajectory", "Luo2019",
            "corrected" if independent_decay < plain else "fails",
            rf"distance in $R$ {number(independent_decay, digits=2)}, without any decay "
            rf"{number(plain, digits=2)}",
        ),
    ]  # fmt: skip
