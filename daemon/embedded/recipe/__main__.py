"""`python -m daemon.embedded.recipe`: train, grow, restyle, evaluate, show."""

from __future__ import annotations

import argparse
from importlib.resources import files
from pathlib import Path

import torch

from daemon.embedded.recipe import evaluation, grids, painters
from daemon.embedded.recipe.classifier import trained_classifier
from daemon.embedded.recipe.free_wording import evaluate_free_wording
from daemon.embedded.recipe.network import Architecture
from daemon.embedded.recipe.previews import PROMPTS, write_grid
from daemon.embedded.recipe.progress import Progress
from daemon.embedded.recipe.shards import Plan
from daemon.embedded.recipe.stages import Recipe, best_device, run, run_lora, ship
from daemon.embedded.recipe.training import Settings
from daemon.families import ModelSpec, load

SHIPPED = Path(str(files("daemon") / "embedded" / "model"))
LORA_ID = "civitai_1963644"
"""The id of the API guide's example, so that its LoRA request runs as it stands."""
SHIPPED_LORA = SHIPPED.with_name("loras") / f"{LORA_ID}.safetensors"


def main() -> None:
    """Parse the command line and do what it names."""
    arguments = _parser().parse_args()
    torch.backends.cuda.matmul.allow_tf32 = True
    if arguments.command == "evaluate":
        _evaluate(arguments)
        return
    if arguments.command == "grids":
        _write_grids(arguments)
        return
    recipe = _recipe(arguments)
    if arguments.command == "train":
        size = ship(recipe, run(recipe, Progress()), arguments.out)
        print(f"{arguments.out}: {size / 1e6:.1f} MB")
    else:
        run_lora(recipe, arguments.model, arguments.out, Progress())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m daemon.embedded.recipe", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    train = commands.add_parser("train", help="train a model folder, from nothing or from one")
    train.add_argument("--from", dest="start", type=Path, help="model folder to go on from")
    train.add_argument(
        "--no-top-attention",
        action="store_true",
        help="no attention at full resolution: twice as fast on a CPU, as the shipped weights are",
    )
    lora = commands.add_parser("lora", help="train the blueprint LoRA on a model folder")
    lora.add_argument("--model", type=Path, default=SHIPPED, help="model folder")
    for command, views, out in ((train, 3_000_000, SHIPPED), (lora, 40_000, SHIPPED_LORA)):
        command.add_argument("--out", type=Path, default=out)
        command.add_argument("--work", type=Path, default=Path("build/embedded-model"))
        command.add_argument("--views", type=int, default=views, help="pictures seen in training")
        command.add_argument("--shards", type=int, help="default by the device")
        command.add_argument("--scenes", type=int, default=1024, help="scenes of a shard")
        command.add_argument("--batch", type=int, help="default by the device")
        command.add_argument("--learning-rate", type=float, help="default by the batch")
    lora.set_defaults(batch=32, learning_rate=2e-3, shards=16)
    evaluate = commands.add_parser("evaluate", help="measure a model folder")
    evaluate.add_argument("model", type=Path, nargs="?", default=SHIPPED)
    evaluate.add_argument("--each", type=int, default=96, help="pictures a line")
    evaluate.add_argument("--grid", type=Path, help="also write the fixed prompts' pictures here")
    shown = commands.add_parser("grids", help="show what a job's settings do to pictures")
    shown.add_argument("model", type=Path, nargs="?", default=SHIPPED)
    shown.add_argument("--lora", type=Path, default=SHIPPED_LORA, help="LoRA file")
    shown.add_argument("--out", type=Path, default=Path("docs"), help="folder of the PNGs")
    shown.add_argument("--only", help="name of the one grid to write")
    return parser


def _recipe(arguments: argparse.Namespace) -> Recipe:
    on_cpu = best_device().type == "cpu"
    batch = arguments.batch or (32 if on_cpu else 384)
    # The square root of the batch, as Adam's noise asks for (Malladi et al., arXiv:2205.10287).
    rate = arguments.learning_rate or 8e-4 * (batch / 32) ** 0.5
    return Recipe(
        work=arguments.work,
        settings=Settings(views=arguments.views, batch=batch, learning_rate=rate),
        plan=Plan(arguments.shards or (16 if on_cpu else 112), arguments.scenes),
        architecture=Architecture(top_attention=not getattr(arguments, "no_top_attention", False)),
        start=getattr(arguments, "start", None),
    )


def _evaluate(arguments: argparse.Namespace) -> None:
    pipeline = painters.open_folder(arguments.model, best_device())
    classifier = trained_classifier()
    columns = {
        "model": painters.model_painter(pipeline),
        "autoencoder alone": painters.autoencoder_painter(pipeline),
        "drawn": evaluation.drawn,
    }
    measured = {
        name: evaluation.evaluate(paint, classifier, arguments.each)
        | evaluate_free_wording(paint, classifier)
        for name, paint in columns.items()
    }
    print(evaluation.table(measured))
    if arguments.grid is not None:
        write_grid(columns["model"], PROMPTS, arguments.grid, columns=4)


def _write_grids(arguments: argparse.Namespace) -> None:
    spec = ModelSpec("embedded", "sdxl", arguments.model, loras=arguments.lora.parent)
    model = load(spec)
    some = [
        grid for grid in grids.grids(arguments.lora.stem) if arguments.only in (None, grid.name)
    ]
    for grid in some:
        print(grids.write(model, grid, arguments.out))


if __name__ == "__main__":
    main()
