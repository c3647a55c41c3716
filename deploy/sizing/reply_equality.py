"""Replies that are the same answer although their bytes differ.

The last bit of a matrix product depends on the number of rows in it, so on the requests that share a prediction.
"""

import json
import math
from functools import lru_cache
from typing import Any


@lru_cache(maxsize=1_000)  # a reply has few variants
def equal_documents(one: bytes, other: bytes, tolerance: float) -> bool:
    """Return whether two JSON documents differ in nothing but FLOAT64 values, and in those by `tolerance` at most."""
    try:
        return _equal(json.loads(one), json.loads(other), tolerance)
    except ValueError:
        return False


def _equal(one: Any, other: Any, tolerance: float) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=tolerance)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(_equal(*pair, tolerance) for pair in zip(one, other, strict=True))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_equal(one[key], other[key], tolerance) for key in one)
    return bool(one == other)
