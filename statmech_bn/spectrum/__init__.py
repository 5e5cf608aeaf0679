"""Inputs with a covariance, as blocks of eigenvalues: `sbn.Spectrum`."""

from statmech_bn.spectrum.spectrum import Spectrum

__all__ = ["Spectrum"]
