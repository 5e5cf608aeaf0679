"""Simulations of all N weights, compiled and as array code."""
