"""What the random mean of a batch does to a network, and what its random spread."""

from __future__ import annotations

import xarray as xr

from paper.number import Claim, averaged, count, judged, number


def pulls(tree: xr.DataTree) -> xr.DataArray:
    """Return M times the pull on γ, for labels of the network itself and one channel random."""
    found = tree["pull/dense"].to_dataset().load()
    pull = found["batch_size"] * found["pull"]
    return pull.sel(labels="model", channels="alone", drop=True).isel(batch_size=-1, drop=True)


def theories(tree: xr.DataTree) -> dict[str, xr.DataArray]:
    """Return what both theories say of it."""
    found = tree["pull/dense"].to_dataset().load().isel(batch_size=-1)
    return {
        name: found["batch_size"] * found[f"pull_{name}"] for name in ("independent", "correlated")
    }


def numbers(tree: xr.DataTree) -> dict[str, str]:
    """Return pulls of the random mean and of the random spread, measured and by both theories."""
    pull = pulls(tree)
    found = {"largest": count(tree["pull/dense"]["batch_size"][-1])}
    for part in ("mean", "spread"):
        found[part] = averaged(pull.sel(part=part))
        for name, values in theories(tree).items():
            found[f"{part}/{name}"] = number(float(values.sel(part=part).mean()), digits=2)
    return found


def claims(tree: xr.DataTree) -> list[Claim]:
    """Judge whether the random mean of a batch makes γ smaller."""
    pull, theory = pulls(tree).sel(part="mean"), theories(tree)["independent"].sel(part="mean")
    return [
        judged(
            r"The random mean of a batch makes $\gamma$ smaller, as a penalty", "Luo2019",
            r"pull of the random mean on $\gamma$ in a trained network; law: that of the published "
            r"penalty",
            rf"$M\zeta_{{\rm eff}}={averaged(pull)}$, published "
            rf"{number(float(theory.mean()), digits=2)}",
            pull, pull - theory,
        )
    ]  # fmt: skip
