"""The jobs of the benchmarks: every one with a prompt and a seed of its own."""

from __future__ import annotations

_COLOURS = ("red", "blue", "green", "yellow", "purple", "orange", "white", "black", "pink")
_SHAPES = ("circle", "square", "star", "heart", "triangle", "diamond", "house")


def prompt(seed: int) -> str:
    """A prompt that differs for neighbouring seeds, so that nothing is cached by chance."""
    shape = _SHAPES[seed % len(_SHAPES)]
    colour = _COLOURS[seed % len(_COLOURS)]
    ground = _COLOURS[(seed // len(_COLOURS) + 4) % len(_COLOURS)]
    return f"a {colour} {shape} on a {ground} background, number {seed}"
