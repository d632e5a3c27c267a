"""Scenes from seeds: a picture and a true caption, the same on every machine."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from PIL import Image, ImageDraw

from daemon.embedded.recipe.brush import Brush
from daemon.embedded.recipe.heldout import is_held_out
from daemon.embedded.recipe.landscapes import CANVAS_PX, Landscape, landscape, plain
from daemon.embedded.recipe.palette import PALETTE, luminance, shade, varied
from daemon.embedded.recipe.subjects import FIGURES, Placed, Subject, subject
from daemon.embedded.recipe.wording import caption

KINDS = {"single": 0.5, "pair": 0.2, "count": 0.12, "view": 0.18}


@dataclass(frozen=True, slots=True)
class Scene:
    """What is shown, how it is asked for, and the seed of shades and details."""

    subject: Subject
    caption: str
    seed: int


def scene(seed: int) -> Scene:
    """The scene of a seed, without a combination that is held out."""
    attempt = 0
    while True:
        rng = Random(f"{seed}/{attempt}")
        shown = subject(rng, rng.choices(list(KINDS), list(KINDS.values()))[0])
        if not any(_held_out(figure, shown.background) for figure in shown.placed):
            return Scene(shown, caption(rng, shown), seed)
        attempt += 1


def draw(asked: Scene, width: int = 256, height: int = 256) -> Image.Image:
    """The scene's picture, RGB. Larger sides than CANVAS_PX are not sharper."""
    rng = Random(f"{asked.seed}/shades")
    scenery = asked.subject.background
    canvas = landscape(rng, scenery) if isinstance(scenery, Landscape) else plain(rng, scenery)
    canvas = _cropped(canvas, width, height)
    paints = {figure.colour: varied(rng, PALETTE[figure.colour]) for figure in asked.subject.placed}
    pen = ImageDraw.Draw(canvas)
    for figure in asked.subject.placed:
        paint = paints[figure.colour]
        dim = isinstance(scenery, Landscape) and scenery.time == "night" and luminance(paint) > 60
        centre = canvas.width * figure.x, canvas.height * figure.y
        radius = min(canvas.size) * figure.radius
        FIGURES[figure.figure](Brush(pen, *centre, radius, shade(paint, 0.85) if dim else paint))
    return canvas.resize((width, height), Image.Resampling.BOX)


def _cropped(canvas: Image.Image, width: int, height: int) -> Image.Image:
    """The middle of the canvas in the picture's proportions."""
    longer = max(width, height)
    across, down = CANVAS_PX * width // longer, CANVAS_PX * height // longer
    left, top = (CANVAS_PX - across) // 2, (CANVAS_PX - down) // 2
    return canvas.crop((left, top, left + across, top + down))


def _held_out(figure: Placed, background: str | Landscape) -> bool:
    before = background.ground if isinstance(background, Landscape) else background
    return is_held_out(figure.colour, figure.figure, before)
