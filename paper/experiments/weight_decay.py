"""What weight decay leaves of a learning rate: the product ηλ alone."""

from __future__ import annotations

import numpy as np
import xarray as xr

from paper import stores
from paper.number import Claim, count, judged, logarithmic_slope, number, setting

script = stores.script("weight_decay")


def spread(tree: xr.DataTree) -> float:
    """Return by how much runs of one ηλ differ at the end, relatively."""
    last = tree["collapse"].to_dataset()[list(script.VARIABLES)].isel(time=-1)
    apart = last.max("learning_rate") / last.min("learning_rate") - 1
    return float(apart.to_array().max())


def scores(tree: xr.DataTree) -> float:
    """Return how far the chain's η_eff is from the equilibrium, relatively, at most."""
    theory, chain = (
        tree[f"equilibrium/{level}"]["effective_rate"] for level in ("macroscopic", "mesoscopic")
    )
    return float(np.abs(chain.mean("replica") / theory - 1).max())


def numbers(tree: xr.DataTree) -> dict[str, str]:
    """Return the collapse, and the chain's distance from the equilibrium."""
    rates = script.RATES
    return {
        "product": setting(script.PRODUCT),
        "rate_ratio": setting(rates[-1] / rates[0]),
        "spread": number(spread(tree), digits=1),
        "dimension": count(tree["equilibrium/mesoscopic"].attrs["dimension"]),
        "chain_off": number(100 * scores(tree), digits=2),
    }


def claims(tree: xr.DataTree) -> list[Claim]:
    """Judge whether the equilibrium knows ηλ alone."""
    slope = logarithmic_slope(tree["equilibrium/mesoscopic"]["effective_rate"].load())
    return [
        judged(
            r"With weight decay only the product $\eta\lambda$ matters", "Laarhoven2017",
            r"$1-d\ln\eta_{\rm eff}/d\ln\eta$ of the chain at equal $\eta\lambda$, for each "
            r"student; law: flows of equal $\eta\lambda$ end in the same $\eta_{\rm eff}$ and $R$",
            r"$|d\ln\eta_{\rm eff}/d\ln\eta|\le"
            rf"{number(float(np.abs(slope.mean('replica')).max()), digits=1)}$; flows of rates of "
            rf"ratio {setting(script.RATES[-1] / script.RATES[0])} end within a relative "
            rf"{number(spread(tree), digits=1)}",
            1 - slope, xr.DataArray(spread(tree)),
        )
    ]  # fmt: skip
