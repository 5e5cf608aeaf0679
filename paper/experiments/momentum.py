"""What momentum is beside a larger learning rate: at rest with weight decay, and on the way."""

from __future__ import annotations

import numpy as np
import xarray as xr

from paper import stores
from paper.number import Claim, averaged, count, judged, number, setting

script = stores.script("momentum")

MIDDLE = 0.2
"""The approach to rest is read off at this ηλt/(1 − β)."""


def angles(tree: xr.DataTree) -> xr.DataArray:
    """Return angles per step at rest by theory's."""
    return tree["rest/chain"]["angle"].load() / tree["rest/theory"]["angle"].load()


def approach(tree: xr.DataTree) -> xr.DataArray:
    """Return the rate at which Q² goes to rest, in units of ηλ/(1 − β), on average over runs."""
    left = tree["rest/chain"]["left"].load().isel(weight_decay=0)
    at = left.sel(relaxation=MIDDLE, method="nearest").mean("replica")
    return -np.log(at) / at["relaxation"]


def numbers(tree: xr.DataTree) -> dict[str, str]:
    """Return lags, angles, rates of approach and what growing rates leave."""
    learned = tree["learning/chain"]["overlap"].load().sel(student="batch")
    lag = (learned.sel(momentum=script.MOMENTA[-1]) - learned.sel(momentum=0.0)).isel(time=0)
    away, rates = angles(tree).mean("replica"), approach(tree)
    growth = tree["growth"].to_dataset().load()
    return {
        "largest": setting(script.MOMENTA[-1]),
        "small": count(learned["dimension"][0]),
        "large": count(learned["dimension"][-1]),
        "lag/small": averaged(lag.isel(dimension=0)),
        "lag/large": averaged(lag.isel(dimension=-1)),
        "first_time": setting(learned["time"][0]),
        "angle/off": number(100 * float(abs(away - 1).max()), digits=2),
        "approach/low": number(float(rates.min()), digits=2),
        "approach/high": number(float(rates.max()), digits=2),
        "growth": number(float(abs(growth["overlap_growing"]).max()), digits=1),
        "constant": number(float(abs(growth["overlap_constant"]).max()), digits=1),
    }


def claims(tree: xr.DataTree) -> list[Claim]:
    """Judge the equilibrium with momentum, and growing rates."""
    asked, rates = script.claims(tree), approach(tree)
    growth = tree["growth"].to_dataset().load()
    grown = [growth[f"{name}_growing"] for name in ("overlap", "gamma")]
    return [
        judged(
            r"At rest with weight decay a step turns by $\sqrt{2\eta\lambda/(1+\beta)}$", "Wan2021",
            r"angle per step, for each student, $\lambda$ and $\beta$; law: by that, less 1",
            rf"{averaged(angles(tree).mean(['student', 'weight_decay', 'momentum']))} of it",
            *asked["At rest a step turns by √(2ηλ/(1 + β))"],
        ),
        judged(
            r"Rest is approached at the rate $2\eta\lambda/(1-\beta)$", "Wan2021",
            r"part of the way of $Q^2$ to rest; law: $1-e^{-2x}$ at $x=\eta\lambda t/(1-\beta)$",
            rf"$Q^2$: {number(float(rates.min()), digits=2)} to "
            rf"{number(float(rates.max()), digits=2)} in units of $\eta\lambda/(1-\beta)$",
            *asked["Rest is approached at the rate 2ηλ/(1 − β)"],
        ),
        judged(
            "Learning rates that grow exponentially equal weight decay", "LiArora2020",
            r"largest difference in $R$ of runs without decay and with constant rates; law: of "
            r"runs with growing rates, in $R$ and $\gamma$",
            "sample by sample within "
            rf"{number(max(float(abs(values).max()) for values in grown), digits=1)}",
            *asked["Growing rates equal weight decay"],
        ),
    ]  # fmt: skip
