"""Finite training sets: learning from P = αN samples, again and again."""

from statmech_bn.offline.training import train

__all__ = ["train"]
