"""A grid of fixed prompts and seeds: how far a training is, and what a model can do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from daemon.embedded.recipe.evaluation import Painter
from daemon.embedded.recipe.painters import model_painter
from daemon.embedded.recipe.scenes import Scene
from daemon.embedded.recipe.subjects import Subject

PROMPTS = (
    "a red circle on a white background",
    "a blue star on a yellow background",
    "a red circle to the left of a blue square on a white background",
    "three green hearts on a white background",
    "a red house on a green meadow under a blue sky",
    "a brown boat on the sea at sunset",
    "an orange cat on the grass",
    "pic of a white rocket at night pls",
)
CELL_PX = 160
LABEL_PX = 26


def asked(prompts: Sequence[str]) -> list[Scene]:
    """Prompts as scenes of which nothing but the words is known."""
    return [
        Scene(Subject("single", (), "white"), prompt, seed) for seed, prompt in enumerate(prompts)
    ]


def write_previews(pipeline: Any, file: Path) -> None:
    """The fixed prompts with seeds 0 to 7, as a PNG."""
    paint = model_painter(pipeline)
    write_grid(paint, PROMPTS, file, columns=4)


def write_grid(paint: Painter, prompts: Sequence[str], file: Path, columns: int = 8) -> None:
    """One picture a prompt, the n-th with seed n, each over its words."""
    pictures = paint(asked(prompts))
    rows = -(-len(prompts) // columns)
    grid = Image.new("RGB", (columns * CELL_PX, rows * (CELL_PX + LABEL_PX)), "white")
    pen = ImageDraw.Draw(grid)
    for index, (prompt, picture) in enumerate(zip(prompts, pictures, strict=True)):
        x, y = index % columns * CELL_PX, index // columns * (CELL_PX + LABEL_PX)
        grid.paste(picture.resize((CELL_PX - 4, CELL_PX - 4), Image.Resampling.LANCZOS), (x, y))
        pen.text((x, y + CELL_PX - 4), _wrapped(prompt), fill="black", font_size=9, spacing=1)
    grid.save(file, optimize=True)


def _wrapped(prompt: str, width: int = 34) -> str:
    lines = [""]
    for word in prompt.split():
        if lines[-1] and len(lines[-1]) + len(word) >= width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return "\n".join(lines[:2])
