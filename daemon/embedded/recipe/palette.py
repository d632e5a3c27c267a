"""The twelve colours of the vocabulary, and how a colour is shaded and varied."""

from __future__ import annotations

from random import Random

Colour = tuple[int, int, int]
"""Red, green and blue, 0 to 255."""

PALETTE: dict[str, Colour] = {
    "red": (222, 38, 38),
    "orange": (246, 138, 24),
    "yellow": (250, 216, 48),
    "green": (46, 165, 68),
    "blue": (40, 92, 220),
    "purple": (138, 60, 188),
    "pink": (248, 136, 184),
    "brown": (128, 78, 42),
    "black": (24, 24, 28),
    "white": (250, 250, 250),
    "gray": (136, 138, 142),
    "teal": (40, 184, 184),
}


def luminance(colour: Colour) -> float:
    """0 to 255, after Rec. 601."""
    red, green, blue = colour
    return 0.3 * red + 0.59 * green + 0.11 * blue


def shade(colour: Colour, factor: float) -> Colour:
    """Towards black for a factor below 1, towards white above: 0 is black, 2 is white."""
    if factor <= 1:
        red, green, blue = (int(value * factor) for value in colour)
    else:
        red, green, blue = (int(value + (255 - value) * (factor - 1)) for value in colour)
    return red, green, blue


def darker(colour: Colour) -> Colour:
    """The colour of a part that lies in shadow; of a very dark colour, a lighter one."""
    return shade(colour, 0.72) if luminance(colour) > 60 else shade(colour, 1.3)


def varied(rng: Random, colour: Colour, levels: int = 9) -> Colour:
    """Each channel moved by up to `levels`."""
    red, green, blue = (max(0, min(255, c + rng.randint(-levels, levels))) for c in colour)
    return red, green, blue


def gradient(top: Colour, bottom: Colour, share: float) -> Colour:
    """The colour at `share`, 0 to 1, of the way down."""
    red, green, blue = (int(a + (b - a) * share) for a, b in zip(top, bottom, strict=True))
    return red, green, blue
