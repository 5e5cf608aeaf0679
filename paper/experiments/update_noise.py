"""The noise of one step, over batch sizes and learning rates."""

from __future__ import annotations

import xarray as xr

from paper import stores
from paper.number import Claim, averaged, count, judged, number

script = stores.script("update_noise")


def score(tree: xr.DataTree) -> float:
    """Return the largest distance from theory, in standard errors, of steps and networks."""
    step, network = tree["step"].to_dataset(), tree["network/none"].to_dataset()
    students = (step.sel(student=name) for name in script.STUDENTS)
    scores = [script.largest_score(one["step_noise"], one["theory"]) for one in students]
    for way in ("with", "without"):
        scores.append(script.largest_score(network[f"noise_{way}"], network[f"theory_{way}"]))
    return max(scores)


def comparisons(tree: xr.DataTree) -> int:
    """Count the values of which the largest distance is taken."""
    step, network = tree["step"]["theory"], tree["network/none"]["theory_with"]
    return step.size + 2 * network.size


def excesses(tree: xr.DataTree) -> xr.DataArray:
    """Return M tr Cov over that at the largest M, with batch normalization, replica by replica."""
    found = tree["network/batch"].to_dataset().load()
    scaled = found["batch_size"] * found["noise_with"]
    return scaled.isel(batch_size=slice(-1)) / scaled.isel(batch_size=-1, drop=True)


def numbers(tree: xr.DataTree) -> dict[str, str]:
    """Return the largest score, and how much noisier small normalized batches are."""
    sizes = tree["network/batch"]["batch_size"].values
    return {
        "score": number(score(tree), digits=2),
        "comparisons": count(comparisons(tree)),
        "excess": averaged(excesses(tree).isel(batch_size=0)),
        "smallest": count(sizes[0]),
        "largest": count(sizes[-1]),
        "samples": count(tree["network/none"].attrs["samples"]),
    }


def claims(tree: xr.DataTree) -> list[Claim]:
    """Judge what sets the noise of a step."""
    step, plain, batch = (
        tree[name].to_dataset().load() for name in ("step", "network/none", "network/batch")
    )
    students = step.sel(student=[name for name in script.STUDENTS if name != "batch"])
    falls = [
        found.isel(batch_size=0, drop=True) - found.isel(batch_size=-1, drop=True)
        for found in (step["step_noise"], plain["noise_with"], batch["noise_with"])
    ]
    rest = [students["step_noise"] / students["theory"] - 1]
    rest += [plain[f"noise_{way}"] / plain[f"theory_{way}"] - 1 for way in ("with", "without")]
    rest.append(excesses(tree) - 1)
    ratio = averaged(excesses(tree).isel(batch_size=0))
    text = (
        rf"{count(comparisons(tree))} means within {number(score(tree), digits=2)} errors; "
        rf"normalized, $M$ times the noise is {ratio} times larger at $M={sizes(tree)[0]}$ than at "
        rf"{sizes(tree)[1]}"
    )
    return [
        judged(
            r"The noise of a step is $\eta^2C/M$", "Bjorck2018",
            r"noise at the smallest $M$, less that at the largest; law: $\eta^2C/M$, and with "
            r"batch normalization $M$ times the noise does not depend on $M$",
            text, falls, rest,
        )
    ]  # fmt: skip


def sizes(tree: xr.DataTree) -> tuple[int, int]:
    """Return the smallest and the largest batch size of the network."""
    found = tree["network/batch"]["batch_size"].values
    return int(found[0]), int(found[-1])
