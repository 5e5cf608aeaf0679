"""The transforms themselves, on arrays of any library: batch, weight and population normalization.

Arrays may be of NumPy, CuPy, PyTorch or any library of the array API standard; results are of the
same library, type and device. "Channel" is the unit of a dense layer, too.
"""

from statmech_bn.layers.batch import (
    BatchNormCache,
    batch_norm_backward,
    batch_norm_forward,
    batch_norm_inference,
    moving_averages,
)
from statmech_bn.layers.weight import (
    WeightNormCache,
    population_norm_backward,
    population_norm_forward,
    weight_norm_backward,
    weight_norm_forward,
)

__all__ = [
    "BatchNormCache",
    "WeightNormCache",
    "batch_norm_backward",
    "batch_norm_forward",
    "batch_norm_inference",
    "moving_averages",
    "population_norm_backward",
    "population_norm_forward",
    "weight_norm_backward",
    "weight_norm_forward",
]
