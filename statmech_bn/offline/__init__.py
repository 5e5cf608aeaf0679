"""Finite training sets of P = αN samples: statistical mechanics, and training itself."""

from statmech_bn.offline.closed_forms import (
    batch_normalized,
    best_batch_size,
    least_squares,
    ridge,
)
from statmech_bn.offline.replica_symmetric import replica_symmetric
from statmech_bn.offline.training import train

__all__ = [
    "batch_normalized",
    "best_batch_size",
    "least_squares",
    "replica_symmetric",
    "ridge",
    "train",
]
