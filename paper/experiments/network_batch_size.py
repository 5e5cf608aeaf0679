"""Whether gamma decay makes of population normalization what batch normalization is in networks."""

from __future__ import annotations

import numpy as np
import xarray as xr

import statmech_bn as sbn
from paper.number import Claim, count, judged, number
from statmech_bn.study import mean_and_error

NETWORKS = ("dense", "convolutional")
KINDS = ("batch", "independent")
QUANTITIES = ("mean_gamma", "training_loss", "test_loss")


def gaps(tree: xr.DataTree) -> list[tuple[xr.DataArray, xr.DataArray]]:
    """Find what separates both normalizations in the end, where statistics alone differ.

    Returns
    -------
    list of tuples
        What BN has more than PN, and what PN with the published decay has more than PN, over
        replicas; one for each network, quantity and batch size at which the first is not zero.
    """
    found = []
    for name in NETWORKS:
        last = tree[f"ghosts/{name}"].to_dataset().load().isel(epoch=-1, drop=True)
        for quantity in QUANTITIES:
            more = last[quantity] - last[quantity].sel(kind="population", drop=True)
            found += [
                tuple(more.sel(batch_size=size, kind=kind, drop=True) for kind in KINDS)
                for size in more["batch_size"].values
            ]
    seen = np.abs(sbn.study.distances([whole for whole, _ in found])) > 1
    return [pair for pair, away in zip(found, seen, strict=True) if away]


def numbers(tree: xr.DataTree) -> dict[str, str]:
    """Return which shares of the gap in the training loss the published decay closes."""
    found = {"replicas": count(tree["ghosts/dense"].sizes["replica"])}
    found["smallest"] = count(tree["ghosts/dense"]["batch_size"][0])
    for name in NETWORKS:
        last = tree[f"ghosts/{name}"]["training_loss"].load().isel(epoch=-1, batch_size=0)
        more = last - last.sel(kind="population", drop=True)
        for theory in ("independent", "correlated"):
            share = quotient(more.sel(kind=theory), more.sel(kind="batch"))
            found[f"{name}/{theory}"] = number(*share)
    return found


def quotient(part: xr.DataArray, whole: xr.DataArray) -> tuple[float, float]:
    """Divide two means over replicas, with the standard error to first order."""
    share = float(part.mean() / whole.mean())
    _, error = mean_and_error(part - share * whole)
    return share, float(error / abs(whole.mean()))


def claims(tree: xr.DataTree) -> list[Claim]:
    """Judge the decomposition in networks."""
    found = gaps(tree)
    nearer = [np.sign(whole.mean()) * part for whole, part in found]
    apart = [part - whole for whole, part in found]
    towards, equal = sbn.study.distances(nearer), np.abs(sbn.study.distances(apart))
    return [
        judged(
            "In networks batch normalization is population normalization with this gamma decay",
            "Luo2019",
            r"how much nearer the decay brings $|\gamma|$ and both losses to those of batch "
            r"normalization, wherever these differ without decay; law: they are the same",
            rf"of {count(len(found))} gaps {count(int((towards > 1).sum()))} become smaller or "
            rf"turn, {count(int((towards < -1).sum()))} larger, {count(int((equal > 1).sum()))} "
            "are left",
            nearer, apart,
        )
    ]  # fmt: skip
