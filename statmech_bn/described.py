"""The fields of a dataclass by which stores and sweeps describe it.

A field that came after the first stores has ``metadata=ADDED`` and is left out where it has its
default, so that descriptions of older versions remain what they were.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any

ADDED = {"added": True}


def described(value: Any) -> dict[str, Any]:
    """Return the fields of a dataclass by name, without added ones that have their default."""
    values = {f.name: getattr(value, f.name) for f in fields(value)}
    usual = {f.name for f in fields(value) if f.metadata.get("added") and _is_default(value, f)}
    return {name: found for name, found in values.items() if name not in usual}


def _is_default(value: Any, field: Any) -> bool:
    return bool(getattr(value, field.name) == field.default)
