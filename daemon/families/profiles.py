"""How much of a model lies on the GPU while it renders, and what has turned out to be too much."""

from __future__ import annotations

from enum import StrEnum

Size = tuple[int, int]
"""Width and height of a picture in pixels."""


class Profile(StrEnum):
    """Where the networks of a model lie while it renders, from the fastest to the smallest."""

    FULL = "full"
    """All on the GPU."""
    BALANCED = "balanced"
    """On the GPU one network after the other, each while it computes."""
    LOW = "low"
    """On the GPU one layer after the other."""


LADDER = tuple(Profile)


class Decoding(StrEnum):
    """How a picture is decoded, from the fastest to the smallest."""

    WHOLE = "whole"
    IN_TILES = "in tiles"
    """Its seams change some pixels."""
    ON_CPU = "on the CPU"


class Experience:
    """What a model ran out of memory with, by the size of the picture, while the process lives.

    It outlasts the model, which may be dropped from memory and loaded again.
    """

    def __init__(self) -> None:
        self._profiles: dict[Size, list[Profile]] = {}
        self._decodings: dict[Size, Decoding] = {}

    def note(self, size: Size, profile: Profile) -> None:
        """Remember that `profile` ran out of memory at this size."""
        known = self._profiles.setdefault(size, [])
        if profile not in known:
            known.append(profile)

    def ran_out(self, size: Size) -> tuple[Profile, ...]:
        """The profiles that ran out of memory at this size, in the order in which they did."""
        return tuple(self._profiles.get(size, ()))

    def profile(self, size: Size, wanted: Profile) -> Profile:
        """The first profile from `wanted` down that has not run out; the last if all have."""
        known = self.ran_out(size)
        left = [step for step in LADDER[LADDER.index(wanted) :] if step not in known]
        return left[0] if left else LADDER[-1]

    def decoding(self, size: Size) -> Decoding:
        """How a picture of this size was decoded last."""
        return self._decodings.get(size, Decoding.WHOLE)

    def note_decoding(self, size: Size, decoding: Decoding) -> None:
        """Remember that a picture of this size was decoded so."""
        self._decodings[size] = decoding
