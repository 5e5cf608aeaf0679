"""Learning rates, fixed points and late times of a student; the public room `sbn.rates`."""

from statmech_bn.online.rates.fixed_points import equilibrium, fixed_point
from statmech_bn.online.rates.learning_rates import effective, late_time, maximum, table
from statmech_bn.online.rates.structured import directions, modes
from statmech_bn.online.rates.symmetric_phase import plateau

__all__ = [
    "directions", "effective", "equilibrium", "fixed_point", "late_time", "maximum", "modes",
    "plateau", "table",
]  # fmt: skip
