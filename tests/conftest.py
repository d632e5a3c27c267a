"""What holds for every test."""

from __future__ import annotations

from hypothesis import settings

# The disk's speed varies; a slow example is no fault of the code.
settings.register_profile("genzo", deadline=None)
settings.load_profile("genzo")
