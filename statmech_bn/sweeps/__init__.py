"""Sweeps: one function over a grid of arguments, into one store, on one machine or a cluster.

grid         the points, their seeds, and the chunks in which they are stored
description  what a sweep computes, as JSON: a store of anything else is refused
points       what is computed for a block of points, on whichever machine
store        one Zarr store: held by one process, written chunk by chunk, verified on resume
run          workers, progress, and what stops a sweep

`statmech_bn.sweep` is the whole of it for most users.
"""

from statmech_bn.sweeps.grid import point_seed
from statmech_bn.sweeps.run import Plan, plan, sweep

__all__ = ["Plan", "plan", "point_seed", "sweep"]
