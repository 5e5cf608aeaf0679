"""Own statistics at inference and running averages, in networks."""

from __future__ import annotations

import xarray as xr

from paper import stores
from paper.number import Claim, averaged, count, judged, setting

script = stores.script("network_inference")


def at_smallest(tree: xr.DataTree, network: str) -> tuple[xr.Dataset, xr.Dataset]:
    """Return what inference and running averages add to the loss in the smallest batches."""
    found, averages = script.opened(tree)
    return tuple(d.sel(network=network).isel(batch_size=0) for d in (found, averages))


def numbers(tree: xr.DataTree) -> dict[str, str]:
    """Return what training mode, own statistics and running averages add in small batches."""
    found = {"small": count(tree["own"]["batch_size"][0])}
    for network in script.NETWORKS:
        own, averages = at_smallest(tree, network)
        added = own["loss_added"].sel(share=1.0)
        found[f"{network}/gap"] = averaged(own["mode_gap"])
        found[f"{network}/own"] = averaged(added.sel(scale="effective"))
        found[f"{network}/trained"] = averaged(added.sel(scale="trained"))
        for word, place in (("slow", 0), ("fast", -1)):
            cost = averages["running_excess"].isel(momentum=place)
            found[f"{network}/{word}"], found[word] = averaged(cost), setting(cost["momentum"])
    return found


def claims(tree: xr.DataTree) -> list[Claim]:
    """Judge own statistics and running averages, in both networks."""
    asked = {name: script.claims(tree, name) for name in script.NETWORKS}
    values = numbers(tree)

    def both(claim: str) -> list[list[xr.DataArray]]:
        """Return effects of both networks, and rests if there are any."""
        pairs = [pairs[claim] for pairs in asked.values()]
        return [[p for p in parts if p is not None] for parts in zip(*pairs, strict=True)]

    own, gap, fast = (
        [values[f"{network}/{name}"] for network in ("dense", "convolutional")]
        for name in ("own", "gap", "fast")
    )
    size = values["small"]
    shows = "Own statistics of weight 1/M, with 1 + 5/(4M_eff) on γ, show what training did"
    lowers, _ = both("They lower the loss")
    return [
        judged(
            "In networks own statistics show at inference what training did", "Summers2020",
            r"loss with own statistics of weight $1/M$ less that without, in the direction of the "
            "loss in training mode; law: as much as that, for both networks and each $M$",
            rf"$M={size}$: they add {own[0]} (dense) and {own[1]} (convolutional), training mode "
            rf"{gap[0]} and {gap[1]}",
            *both(shows),
        ),
        judged(
            r"\ldots{} and lower the loss", "Summers2020",
            "loss without own statistics less that with them, for both networks and each $M$",
            rf"they add {own[0]} and {own[1]} at $M={size}$",
            lowers,
        ),
        judged(
            r"In networks running averages are statistics of $M(2-m)/m$ independent samples",
            "Luo2019",
            r"what they add to the loss, for both networks, each $M$ and momentum $m$; law: times "
            r"$M(2-m)/m$, less that at $m=1$",
            rf"{fast[0]} (dense) and {fast[1]} (convolutional) at $m=1$, $M={size}$",
            *both("... as independent statistics of M(2 − m)/m samples"),
        ),
    ]  # fmt: skip
