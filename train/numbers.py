"""How training writes numbers for people."""

import math


def number(value: float) -> str:
    """Return a number with thousands separators and five significant digits, or all digits of its integer part."""
    if not math.isfinite(value):
        return str(value)
    return f"{value:,.0f}" if abs(value) >= 1e4 else f"{value:,.5g}"
