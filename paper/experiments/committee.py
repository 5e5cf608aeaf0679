"""What units cost that a student has more than its teacher."""

from __future__ import annotations

import xarray as xr

from paper import stores
from paper.number import Claim, averaged, count, judged, number, setting

script = stores.script("committee")


def errors(tree: xr.DataTree, readout: str, normalization: str = "none") -> xr.DataArray:
    """Return a thousand times the final error over the number of units."""
    found = tree["student_units"]["generalization_error"].load()
    return 1000 * found.sel(readout=readout, normalization=normalization, drop=True)


def law(tree: xr.DataTree) -> xr.DataArray:
    """Return a thousand times the error if all units but the teacher's are silent."""
    units, noise = tree["student_units"]["student_units"], tree["label_noise"]["label_noise"]
    return 1000 * script.law_of_silent_units(units, float(noise.max()))


def numbers(tree: xr.DataTree) -> dict[str, str]:
    """Return errors of the smallest and of the largest student, and active units."""
    runs = tree["student_units"].to_dataset().load()
    found = {
        "noise": setting(tree["label_noise"]["label_noise"].max()),
        "dimension": count(runs.attrs["dimension"]),
        "replicas": count(runs.sizes["replica"]),
        "few": count(runs["student_units"][0]),
        "many": count(runs["student_units"][-1]),
        "law": number(float(law(tree)[-1]), digits=2),
    }
    for readout in script.READOUTS:
        for word, place in (("few", 0), ("many", -1)):
            found[f"{readout}/{word}"] = averaged(errors(tree, readout).isel(student_units=place))
    largest = runs["active_units"].sel(readout="fixed").isel(student_units=-1)
    for name in script.NORMALIZATIONS:
        found[f"active/{name}"] = averaged(largest.sel(normalization=name))
    for name in ("weight", "batch"):
        many = errors(tree, "fixed", name).isel(student_units=-1)
        found[f"fixed/{name}"] = averaged(many)
    return found


def claims(tree: xr.DataTree) -> list[Claim]:
    """Judge units that are too many."""
    asked = script.claims(tree)
    ends = {
        readout: [averaged(errors(tree, readout).isel(student_units=k)) for k in (0, -1)]
        for readout in script.READOUTS
    }
    few, many = (int(tree["student_units"]["student_units"][k]) for k in (0, -1))
    return [
        judged(
            r"With a fixed second layer units too many cost error, "
            r"$(\eta\Delta^2/2\pi M)(K-K^*+K^*/\sqrt3)$", "Goldt2019",
            r"$d\ln\varepsilon_g/dK$ without normalization; law: the error itself",
            rf"$10^3\varepsilon_g={ends['fixed'][0]}$ at $K={few}$, {ends['fixed'][1]} at "
            rf"$K={many}$; law {number(float(law(tree)[0]), digits=2)} and "
            rf"{number(float(law(tree)[-1]), digits=2)}",
            *asked["... (ηΔ²/2πM)(K − K* + K*/√3)"],
        ),
        judged(
            "If the second layer learns they lower it", "Goldt2019",
            r"$-d\ln\varepsilon_g/dK$ without normalization",
            rf"$10^3\varepsilon_g={ends['learned'][0]}$ and {ends['learned'][1]}",
            *asked["units too many lower the error, if the second layer learns"],
        ),
    ]  # fmt: skip
