"""Training mode and inference mode: what differs between them, and what it costs."""

from statmech_bn.inference.dropout import dropout_scale, variance_shift, without_dropout
from statmech_bn.inference.loss import (
    first_order_gap,
    inference_loss,
    running_average_excess,
    training_loss,
)
from statmech_bn.inference.own_statistics import (
    inference_field,
    nearest_inference,
    training_mean,
)

__all__ = [
    "dropout_scale",
    "first_order_gap",
    "inference_field",
    "inference_loss",
    "nearest_inference",
    "running_average_excess",
    "training_loss",
    "training_mean",
    "variance_shift",
    "without_dropout",
]
