"""Where γ stops under batch statistics, and what penalty they are worth."""

from __future__ import annotations

import numpy as np
import xarray as xr

from paper import stores
from paper.number import Claim, averaged, count, judged, number, setting

script = stores.script("gamma_decay")

SIZE = 16
"""The paper quotes this batch size, which every preset has."""


def shift(tree: xr.DataTree, activation: str, size: int) -> xr.DataArray:
    """Return M(1 − γ) of every run."""
    gamma = tree["shrinkage"]["gamma"].sel(activation=activation, batch_size=size)
    return size * (1 - gamma)


def kurtosis_slopes(tree: xr.DataTree) -> xr.DataArray:
    """Fit d[M(1 − γ)]/dρ_h over all inputs, weighted by their errors, replica by replica."""
    found = tree["inputs"].to_dataset()
    values = (found["batch_size"] * (1 - found["gamma"])).transpose("replica", "inputs").values
    weights = 1 / values.std(axis=0, ddof=1)
    slopes = np.polyfit(found["excess_kurtosis"].values, values.T, 1, w=weights)[0]
    return xr.DataArray(slopes, dims="replica")


def numbers(tree: xr.DataTree) -> dict[str, str]:
    """Return where γ stops and why, how far each decay is from the truth, and the penalty."""
    one = tree["shrinkage"].to_dataset().sel(activation="linear", batch_size=SIZE)
    parts = tree["parts"].to_dataset().sel(activation="linear", batch_size=SIZE)
    moved = SIZE * (1 - parts["gamma"] / parts["population"])
    found = {
        "batch_size": count(SIZE),
        "smallest": count(tree["shrinkage"]["batch_size"][0]),
        "independent": number(SIZE * (1 - float(one["independent"]))),
        "kurtosis_slope": averaged(kurtosis_slopes(tree)),
        "part/mean": number(float(abs(moved.sel(part="mean")).max()), digits=1),
        "part/spread": averaged(moved.sel(part="spread")),
        "trajectory_batch": count(script.TRAJECTORY_BATCH),
        **landscape(tree),
    }
    for name in script.ACTIVATIONS:
        found |= {f"{name}/{key}": text for key, text in of_unit(tree, name).items()}
    return found


def of_unit(tree: xr.DataTree, activation: str) -> dict[str, str]:
    """Return shifts, distances of trajectories and the decay in the end, for one activation."""
    shrunk = tree["shrinkage"].to_dataset().sel(activation=activation)
    distances = script.distances(tree, activation).rename(
        {title: name for name, title in script.STUDENTS.items()}
    )
    decay = tree["trajectories/mesoscopic"]["effective_gamma_decay"]
    late = decay.sel(activation=activation, student="batch").isel(time=slice(-10, None))
    return {
        "shift": averaged(shift(tree, activation, SIZE)),
        "smallest_shift": averaged(shift(tree, activation, int(shrunk["batch_size"][0]))),
        "exact": number(SIZE * (1 - float(shrunk["exact"].sel(batch_size=SIZE)))),
        "late_decay": averaged(script.TRAJECTORY_BATCH * late.mean("time")),
        **{
            f"{name}/gamma": number(distances.loc[name, "gamma"], digits=2)
            for name in ("population", "independent", "correlated")
        },
        **{
            f"{name}/overlap": number(distances.loc[name, "overlap"], digits=2)
            for name in ("independent", "correlated", "slowed")
        },
    }


def landscape(tree: xr.DataTree) -> dict[str, str]:
    """Return what batch statistics add to the loss at the largest γ, and both theories of it."""
    last = tree["landscape"].to_dataset().sel(activation="linear").isel(gamma=-1)
    size = script.LANDSCAPE_BATCH
    height = {name: size * (last[name] - last["population"]) for name in ("penalty", "independent")}
    return {
        "landscape_batch": count(size),
        "landscape/gamma": setting(last["gamma"]),
        "landscape/measured": averaged(size * (last["loss"] - last["population"])),
        **{f"landscape/{name}": number(float(value)) for name, value in height.items()},
    }


def trajectory(tree: xr.DataTree, variable: str) -> tuple[xr.DataArray, xr.DataArray]:
    """Compare the chains with the published decay and with batch normalization (linear).

    Returns
    -------
    nearer, apart : xarray.DataArray
        By how much the decay moves a variable towards that of batch normalization, averaged over
        time; and what is left between both, over time. Replicas have common random numbers.
    """
    found = tree["trajectories/mesoscopic"][variable].sel(activation="linear").load()
    plain, decay, batch = (
        found.sel(student=s, drop=True) for s in ("population", "independent", "batch")
    )
    towards = np.sign((batch - plain).mean("replica"))
    return (towards * (decay - plain)).mean("time"), decay - batch


def claims(tree: xr.DataTree) -> list[Claim]:
    """Judge the decomposition into population normalization and gamma decay."""
    found = tree["shrinkage"].to_dataset().sel(activation="linear").dropna("batch_size")
    shifts = found["batch_size"] * (1 - found["gamma"])
    published = found["batch_size"] * (1 - found["independent"])
    at = {"batch_size": SIZE}
    slopes = kurtosis_slopes(tree)
    nearer, apart = zip(*(trajectory(tree, v) for v in ("overlap", "gamma")), strict=True)
    distances = script.distances(tree, "linear")["overlap"]
    plain, independent_decay = (
        distances[script.STUDENTS[s]] for s in ("population", "independent")
    )
    return [
        judged(
            r"Batch normalization is population normalization with the gamma decay "
            r"$\zeta=3/(4M)$ (linear)", "Luo2019",
            r"$M(1-\gamma)$ at each $M$; law: its value with this decay",
            rf"$M(1-\gamma)={averaged(shifts.sel(at))}$ at $M={SIZE}$, published "
            rf"{number(float(published.sel(at)))}, exact "
            rf"{number(SIZE * (1 - float(found['exact'].sel(at))))}",
            shifts, shifts - published,
        ),
        judged(
            r"The decay grows with the kurtosis, $\zeta\propto\rho_h+6$", "Luo2019",
            r"slope of $M(1-\gamma)$ in $\rho_h$; law: $1/4$",
            rf"slope {averaged(slopes)} of $M(1-\gamma)$ in $\rho_h$; published "
            rf"$1/4$, here $1/8$",
            slopes, slopes - 1 / 4,
        ),
        judged(
            "It follows the whole trajectory", "Luo2019",
            r"how much nearer the decay brings $R$ and $\gamma$ to batch normalization's, over "
            r"time; law: they are the same at each time",
            rf"distance in $R$ {number(independent_decay, digits=2)}, without any decay "
            rf"{number(plain, digits=2)}",
            nearer, apart,
        ),
    ]  # fmt: skip
