"""The noise of one step, over batch sizes and learning rates."""

from __future__ import annotations

import xarray as xr

from paper.number import Claim, count, number
from simulations import update_noise as script


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


def excess(tree: xr.DataTree) -> tuple[float, float]:
    """Return M tr Cov at the smallest M over that at the largest, with batch normalization."""
    found = tree["network/batch"].to_dataset()
    scaled = found["batch_size"] * found["noise_with"]
    first, last = (scaled.isel(batch_size=k) for k in (0, -1))
    ratio = float(first.mean() / last.mean())
    number_of = first.sizes["replica"]
    squares = sum((float(x.std(ddof=1) / x.mean())) ** 2 / number_of for x in (first, last))
    return ratio, ratio * squares**0.5


def numbers(tree: xr.DataTree) -> dict[str, str]:
    """Return the largest score, and how much noisier small normalized batches are."""
    sizes = tree["network/batch"]["batch_size"].values
    return {
        "score": number(score(tree), digits=2),
        "comparisons": count(comparisons(tree)),
        "excess": number(*excess(tree)),
        "smallest": count(sizes[0]),
        "largest": count(sizes[-1]),
        "samples": count(tree["network/none"].attrs["samples"]),
    }


def claims(tree: xr.DataTree) -> list[Claim]:
    """Judge what sets the noise of a step."""
    worst, total = score(tree), comparisons(tree)
    ratio, error = excess(tree)
    text = (
        rf"{count(total)} means within {number(worst, digits=2)} errors; normalized, $M$ times the "
        rf"noise is {number(ratio, error)} times larger at $M={sizes(tree)[0]}$ than at "
        rf"{sizes(tree)[1]}"
    )
    verdict = "fails" if worst > 4 else "corrected" if ratio - 1 > 3 * error else "holds"
    return [Claim(r"The noise of a step is $\eta^2C/M$", "Bjorck2018", verdict, text)]


def sizes(tree: xr.DataTree) -> tuple[int, int]:
    """Return the smallest and the largest batch size of the network."""
    found = tree["network/batch"]["batch_size"].values
    return int(found[0]), int(found[-1])
