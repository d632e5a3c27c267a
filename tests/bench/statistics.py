"""The few statistics that the figures need."""

from __future__ import annotations

from collections.abc import Sequence


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which `share` (0 to 1) of `values` lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def median_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Least, median and greatest of seven values.

    The range of n values covers the true median with probability 1 - 2^(1-n): 98.4 % for seven.
    """
    ordered = sorted(values)
    return ordered[0], ordered[len(ordered) // 2], ordered[-1]
