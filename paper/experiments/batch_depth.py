"""How gradients grow with depth behind batch normalization, and how deep networks train."""

from __future__ import annotations

import xarray as xr

from paper import stores
from paper.number import Claim, averaged, count, judged, number

script = stores.script("batch_depth")


def numbers(tree: xr.DataTree) -> dict[str, str]:
    """Return the growth in small batches, the distance from theory and the depth that trains."""
    scores, depths = script.scores(tree), script.depths(tree)
    theory = tree["size/theory"]["gradient_multiplier"].sel(activation="relu")
    return {
        "width": count(tree["size/network"].attrs["width"]),
        "small": number(theory.sel(batch_size=8).item(), digits=4),
        "large": number(theory.sel(batch_size=64).item(), digits=4),
        "apart": number(scores["largest difference"].max(), digits=2),
        "comparisons": count(scores["comparisons"].sum()),
        **{
            f"half_{end}": number(getattr(depths["ratio"], end)(), digits=2)
            for end in ("min", "max")
        },
    }


def claims(tree: xr.DataTree) -> list[Claim]:
    """Judge the growth, its remedies and the depth that trains."""
    effects, depths = script.claims(tree), script.depths(tree)
    score = script.scores(tree).loc[list(script.REMEDIES), "in standard errors"].max()
    growth = tree["size/network"].to_dataset()["gradient_multiplier"].load().sel(activation="relu")
    growth = growth.sel(batch_size=growth["batch_size"] >= 6)
    small, large = (growth.isel(batch_size=k) for k in (0, -1))
    reached = script.learned_depth(tree)
    texts = [
        (
            r"Gradients grow by $\chi(M)$ per layer, more in small batches",
            r"$\chi$ of the smallest batches ($M\geq6$) less that of the largest, for each "
            r"activation; law: measured $\chi$ less theory",
            rf"ReLU: {averaged(small)} at $M={int(small['batch_size'])}$, {averaged(large)} at "
            rf"$M={int(large['batch_size'])}$",
        ),
        (
            r"Networks train down to about $16/\ln\chi$ layers",
            r"fall of the loss of the shallowest networks less that of the deepest; law: depth at "
            r"which half of what the best depth learns is left, by $16/\ln\chi$, less 1",
            rf"half is learned at {number(depths['ratio'].min(), digits=2)} to "
            rf"{number(depths['ratio'].max(), digits=2)} of it",
        ),
        (
            r"\ldots{} deeper in larger batches, in proportion to $1/\ln\chi$",
            r"that depth in the largest batches less that in the smallest; law: its ratio to "
            r"$1/\ln\chi$ by that of the smallest, less 1",
            rf"{averaged(reached.isel(batch_size=0))} layers at "
            rf"$M={int(reached['batch_size'][0])}$, {averaged(reached.isel(batch_size=-1))} at "
            rf"$M={int(reached['batch_size'][-1])}$",
        ),
        (
            r"A smaller $\gamma$, a larger $\beta$ and a larger $\varepsilon$ make $\chi$ smaller",
            r"$\chi$ without the remedy less that with it; law: measured $\chi$ less theory",
            rf"within {number(score, digits=2)} standard errors of theory",
        ),
    ]  # fmt: skip
    return [
        judged(text, "Yang2019", asked, value, *pair)
        for (text, asked, value), pair in zip(texts, effects.values(), strict=True)
    ]
