"""Sweeps: one function over a grid of arguments, into one store, on one machine or a cluster.

grid         the points, their seeds, and the chunks in which they are stored
description  what a sweep computes, as JSON: a store of anything else is refused
points       what is computed for a block of points, on whichever machine
store        one Zarr store: held by one process, written chunk by chunk, verified on resume
workers      threads, processes, or a Dask cluster
run          the sweep itself: blocks in flight, progress, and what stops it
plan         what a sweep will need, before it is begun

`statmech_bn.sweep` is the whole of it for most users.
"""

from statmech_bn.sweeps.grid import point_seed
from statmech_bn.sweeps.plan import Plan, plan
from statmech_bn.sweeps.run import sweep

__all__ = ["Plan", "plan", "point_seed", "sweep"]
