"""Grids of what changes a picture: one setting across, seeds down, and a number below each column.

Rendered by genzo's own model, so that weights, samplers and LoRAs mean here what jobs mean by them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageDraw

from daemon.embedded.recipe import looks
from daemon.families import Model, Step
from daemon.families.samplers import samplers
from spool.jobs import LoraRequest, ResolvedJob

if TYPE_CHECKING:
    from daemon.embedded.recipe.looks import Pixels

    Measure = Callable[[Pixels], float]
CELL_PX, GAP_PX, LABEL_PX = 96, 4, 14


@dataclass(frozen=True, slots=True)
class Column:
    """A setting, in words and as what it changes of the grid's job."""

    label: str
    changes: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Grid:
    """What is rendered, and what `measure` counts in a picture, told by `unit`."""

    name: str
    job: dict[str, Any]
    columns: tuple[Column, ...]
    measure: Measure
    unit: str
    seeds: int = 4


@dataclass(frozen=True, slots=True)
class Result:
    """A grid's picture, and the mean of its measure by column."""

    picture: Image.Image
    means: dict[str, float]


def redness(seen: Pixels) -> float:
    """How far red is above the mean of green and blue, in levels, over the whole picture."""
    red, green, blue = np.asarray(seen, dtype=np.float64).reshape(-1, 3).mean(0)
    return float(red - (green + blue) / 2)


def blueness(seen: Pixels) -> float:
    """The same for blue, of which a blueprint's paper is."""
    red, green, blue = np.asarray(seen, dtype=np.float64).reshape(-1, 3).mean(0)
    return float(blue - (red + green) / 2)


def is_red_star(seen: Pixels) -> float:
    """100 for one red star on white, else 0."""
    mask = looks.foreground(seen)
    right = (
        looks.nearest_colour(looks.background_of(seen)) == "white"
        and looks.main_colour(seen, mask) == "red"
        and looks.number_of_objects(seen) == 1
        and looks.shape_of(mask) == "star"
    )
    return 100.0 * right


def has_two_things(seen: Pixels) -> float:
    """100 for two separate things on the background, else 0."""
    return 100.0 * (looks.number_of_objects(seen) == 2)


def lora_columns(lora_id: str) -> tuple[Column, ...]:
    """Weights at full trigger, then trigger weights at full weight."""
    settings = [(weight, 1.0) for weight in (0.0, 0.5, 1.0)]
    settings += [(1.0, trigger) for trigger in (0.0, 0.25, 0.5, 1.0)]
    return tuple(
        Column(
            f"{weight:g} / {trigger:g}",
            {"loras": (LoraRequest(id=lora_id, weight=weight, trigger_weight=trigger),)},
        )
        for weight, trigger in settings
    )


def grids(lora_id: str) -> tuple[Grid, ...]:
    """The grids of the model card."""
    star = {"prompt": "a red star on a white background"}
    sizes = ((128, 128), (192, 192), (256, 256), (384, 384), (512, 512), (512, 256))
    return (
        Grid(
            "guidance",
            star,
            tuple(Column(f"{scale}", {"guidance_scale": scale}) for scale in (1, 2, 3, 5, 8)),
            is_red_star,
            "% one red star on white",
        ),
        Grid(
            "samplers",
            star,
            tuple(Column(name, {"sampler": name}) for name in samplers),
            is_red_star,
            "% one red star on white",
        ),
        Grid(
            "lora",
            {"prompt": "a red house on a yellow background"},
            lora_columns(lora_id),
            blueness,
            "levels of blue above red and green (weight / trigger weight)",
        ),
        Grid("attention", {}, _asking("a (red:{}) blue star on a white background"), redness, RED),
        Grid(
            "negative",
            {"prompt": "a circle on a white background"},
            tuple(
                Column(word or "none", {"negative_prompt": word})
                for word in (None, "red", "(red:1.5)", "green", "blue")
            ),
            redness,
            RED,
        ),
        Grid(
            "sizes",
            {"prompt": "a yellow star above a green triangle on a black background"},
            tuple(Column(f"{w} x {h}", {"width": w, "height": h}) for w, h in sizes),
            has_two_things,
            "% two things, not more and not fewer",
        ),
    )


RED = "levels of red above green and blue"


def _asking(prompt: str) -> tuple[Column, ...]:
    return tuple(
        Column(f"(red:{weight})", {"prompt": prompt.format(weight)})
        for weight in (0.2, 0.6, 1.0, 1.4, 1.8)
    )


def rendered(model: Model, grid: Grid, side: int, steps: int) -> Result:
    """All columns with seeds 0 to `grid.seeds` - 1; a column may ask for another size."""
    rows: list[list[Image.Image]] = []
    for column in grid.columns:
        job = _job(model, {"width": side, "height": side, **grid.job, **column.changes}, steps)
        rows.append([_picture(model, job, seed) for seed in range(grid.seeds)])
    means = {
        column.label: float(np.mean([grid.measure(looks.pixels(one)) for one in pictures]))
        for column, pictures in zip(grid.columns, rows, strict=True)
    }
    return Result(_sheet(grid, rows, means), means)


def write(model: Model, grid: Grid, folder: Path) -> str:
    """Write embedded-model-NAME.png, of 256 px and 20 steps, and return its figures in a line."""
    result = rendered(model, grid, side=256, steps=20)
    few = result.picture.quantize(256, dither=Image.Dither.NONE)
    few.save(folder / f"embedded-model-{grid.name}.png", optimize=True)
    figures = ", ".join(f"{label}: {mean:.0f}" for label, mean in result.means.items())
    return f"{grid.name}: {figures} ({grid.unit})"


def narrowed(grid: Grid, *labels: str, seeds: int) -> Grid:
    """The grid with some of its columns and fewer seeds."""
    kept = tuple(column for column in grid.columns if column.label in labels)
    return replace(grid, columns=kept, seeds=seeds)


def _job(model: Model, wanted: dict[str, Any], steps: int) -> ResolvedJob:
    fields = model.parameters.model_fields
    own = {name: fields[name].default for name in ("guidance_scale", "sampler", "negative_prompt")}
    settings = {"model": model.spec.name, "seed": 0, "steps": steps, **own, **wanted}
    return ResolvedJob.model_validate(settings)


def _picture(model: Model, job: ResolvedJob, seed: int) -> Image.Image:
    def pass_on(_step: Step) -> None:
        pass

    return model.decode(model.denoise(job, seed, pass_on)).convert("RGB")


def _sheet(
    grid: Grid, columns: Sequence[Sequence[Image.Image]], means: dict[str, float]
) -> Image.Image:
    step = CELL_PX + GAP_PX
    bottom = LABEL_PX + grid.seeds * step
    sheet = Image.new("RGB", (len(columns) * step, bottom + 2 * LABEL_PX), "white")
    pen = ImageDraw.Draw(sheet)
    for index, (column, pictures) in enumerate(zip(grid.columns, columns, strict=True)):
        x = index * step
        pen.text((x, 0), column.label, fill="black", font_size=9)
        for row, picture in enumerate(pictures):
            small = picture.copy()
            small.thumbnail((CELL_PX, CELL_PX), Image.Resampling.LANCZOS)
            sheet.paste(small, (x, LABEL_PX + row * step))
        pen.text((x, bottom), f"{means[column.label]:.0f}", fill="black", font_size=10)
    pen.text((0, bottom + LABEL_PX), grid.unit, fill="black", font_size=9)
    return sheet
