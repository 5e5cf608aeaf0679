"""Learning rates that share no random numbers.

By default all learning rates of a call learn from the same samples. Differences between them then
have little noise, and the points of one curve err together: a curve through them looks smoother
than its error bars. With `common_random_numbers=False` each learning rate has a seed of its own,
which follows from the call's and its place among the learning rates.
"""

from __future__ import annotations

from collections.abc import Callable

import xarray as xr

from statmech_bn.online.arguments import Run
from statmech_bn.random.streams import stream

PURPOSE = 4
"""This key keeps the seeds apart from the streams of the replicas."""


def one_by_one(
    level: Callable[..., xr.Dataset], run: Run, seed: int, has_readout: bool
) -> xr.Dataset:
    """Call a level for each learning rate alone, and join what it returns.

    Parameters
    ----------
    level : callable
        A level of which all arguments but the learning rates and the seed are bound.
    run : Run
        The checked learning rates.
    seed : int
    has_readout : bool
        Whether a second layer is learned.
    """
    parts = []
    rates = zip(run.learning_rate, run.gamma_learning_rate, run.readout_learning_rate, strict=True)
    for place, (rate, gamma_rate, readout_rate) in enumerate(rates):
        own = int(stream(seed, PURPOSE, place).integers(2**62))
        learned = {"readout_learning_rate": readout_rate} if has_readout else {}
        parts.append(level(learning_rate=rate, gamma_learning_rate=gamma_rate, seed=own, **learned))
    joined = xr.concat(
        parts, "learning_rate", data_vars="minimal", coords="minimal", compat="equals",
        join="exact", combine_attrs="drop_conflicts",
    )  # fmt: skip
    return joined.assign_attrs(seed=seed, common_random_numbers=0)
