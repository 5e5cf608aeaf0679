"""Finite training sets of P = αN samples: generalization by statistical mechanics."""

from statmech_bn.offline.closed_forms import (
    batch_normalized,
    best_batch_size,
    least_squares,
    ridge,
)

__all__ = ["batch_normalized", "best_batch_size", "least_squares", "ridge"]
