"""Which batch size generalizes best."""

from __future__ import annotations

import numpy as np
import xarray as xr

import statmech_bn as sbn
from paper import stores
from paper.number import count, number, setting

script = stores.script("batch_size")


def numbers(tree: xr.DataTree) -> dict[str, str]:
    """Return the best batch size at each load, measured and by theory."""
    simulation = tree["simulation"].to_dataset()
    sizes = simulation["batch_size"].values
    found = {"dimension": count(simulation.attrs["dimension"])}
    for load in script.LOADS:
        curve = script.predict(load, "uneven", np.geomspace(sizes[0], sizes[-1], 400))
        least = float(curve["generalization_error"].idxmin("batch_size"))
        best, error = script.optimum(simulation.sel(load=load), least)
        own = script.predict(load, "uneven", sizes)["generalization_error"].values
        key = f"{load:g}"
        found[f"{key}/load"] = setting(load)
        found[f"{key}/measured"] = number(best, error)
        found[f"{key}/expected"] = number(script.vertex(sizes, own, least))
        found[f"{key}/minimum"] = number(least)
        found[f"{key}/shrunken"] = number(
            float(sbn.offline.best_batch_size(load, script.LABEL_NOISE))
        )
    return found
