"""Where the modules of a LoRA file lie in a model: a fused one of the file may be several there."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Place:
    """A module of the model, and which rows of the file's module are its, in its order.

    Each of `rows` is (first, behind the last).
    """

    path: str
    rows: tuple[tuple[int, int], ...]


Places = tuple[Place, ...]
"""All that one module of a file stands for; together they have all of its rows."""


def whole(path: str, rows: int) -> Places:
    """One module of `rows` rows that is the same in the file and in the model."""
    return (Place(path, ((0, rows),)),)


def stacked(paths: tuple[str, ...], rows: dict[str, int]) -> Places:
    """Modules that the file has as one, their rows one after the other."""
    places, first = [], 0
    for path in paths:
        places.append(Place(path, ((first, first + rows[path]),)))
        first += rows[path]
    return tuple(places)


def halves_swapped(path: str, rows: int) -> Places:
    """One module whose second half of rows comes first in the model."""
    return (Place(path, ((rows // 2, rows), (0, rows // 2))),)
