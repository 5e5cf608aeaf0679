"""How many ReLU units of convolutional networks change sides with the batch."""

from __future__ import annotations

import xarray as xr

import statmech_bn as sbn
from paper.number import averaged, number


def numbers(tree: xr.DataTree) -> dict[str, str]:
    """Return rates relative to the law of Gaussian fields, of the samples and of M_eff."""
    found = tree["flips"].to_dataset().load()
    size = found["batch_size"]
    law = xr.DataArray(sbn.geometry.flip_rate(size.values), {"batch_size": size})
    start, end = (found.isel(epoch=k) for k in (0, -1))
    naive = (start["flip_rate"] / law).mean("batch_size")
    own = (start["own_rate"] / start["predicted_rate"]).mean(("batch_size", "layer"))
    ratios = [d["samples_ratio"].mean("replica") for d in (start, end)]
    return {
        "first": averaged(naive.isel(layer=0)),
        "own": averaged(own),
        "start/first": number(float(ratios[0][0]), digits=2),
        "start/last": number(float(ratios[0][-1]), digits=2),
        "end/last": number(float(ratios[1][-1]), digits=2),
    }
