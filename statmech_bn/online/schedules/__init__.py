"""Schedules of the learning rates; the public room `sbn.schedules`."""

from statmech_bn.online.schedules.schedule import (
    Schedule,
    constant,
    cosine,
    inverse_time,
    step,
    table,
    warm_up,
)

__all__ = ["Schedule", "constant", "cosine", "inverse_time", "step", "table", "warm_up"]
