"""A diffusers model folder as far as JSON tells: what it is, how large, what it is best at."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from daemon.errors import ModelError
from daemon.families.base import ModelSpec
from daemon.weights.layouts import config_of, inspect
from spool.jobs import Guidance, Label, Pixels, Prompt, Steps

CARD = "genzo.json"


class Card(BaseModel):
    """`genzo.json` in a model folder: the model's own defaults, and prompts that show it well.

    The file is optional, and so is every field but `format`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1]
    steps: Steps | None = None
    guidance_scale: Guidance | None = None
    sampler: Label | None = None
    width: Pixels | None = None
    height: Pixels | None = None
    prompts: tuple[Prompt, ...] = ()


def read_card(spec: ModelSpec) -> Card:
    """The folder's `genzo.json`, or an empty card when there is none.

    Raises ModelError when the file is not a card.
    """
    path = spec.weights / CARD
    if not spec.weights.is_dir() or not path.exists():
        return Card(format=1)
    try:
        return Card.model_validate(_read_json(spec, path))
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(str(part) for part in fault["loc"])
        raise ModelError(
            f"model {spec.name}: {path}: {where}: {fault['msg']}; correct or remove the file"
        ) from None


def read_config(spec: ModelSpec, part: str) -> dict[str, Any]:
    """The JSON object in one file of the model folder, such as `unet/config.json`.

    Of a model in files, what is known of its parts stands in for the folder. Raises ModelError
    when the folder or the file is missing or unreadable.
    """
    if spec.weights.is_file():
        return config_of(spec, inspect(spec), part.partition("/")[0])
    if not spec.weights.is_dir():
        found = "is neither a file nor a folder" if spec.weights.exists() else "does not exist"
        raise ModelError(f"model {spec.name}: {spec.weights} {found}; correct `weights`")
    config = _read_json(spec, spec.weights / part)
    if not isinstance(config, dict):
        raise ModelError(f"model {spec.name}: {spec.weights / part} is not a JSON object")
    return config


def check_pipeline(spec: ModelSpec, wanted: str) -> None:
    """Raise ModelError unless the folder or the file holds a pipeline of this class."""
    if spec.weights.is_file():
        inspect(spec)
        return
    found = read_config(spec, "model_index.json").get("_class_name")
    if found != wanted:
        raise ModelError(
            f"model {spec.name}: {spec.weights} holds a {found}, family {spec.family} needs a "
            f"{wanted}; correct family or weights"
        )


def check_tokenizer(spec: ModelSpec, part: str) -> None:
    """Raise ModelError unless the folder's part holds a vocabulary.

    Without one transformers makes a tokenizer that knows no words, and says nothing.
    """
    folder = spec.weights / part
    known = ("tokenizer.json", "vocab.json", "spiece.model")
    if not any((folder / name).is_file() for name in known):
        raise ModelError(
            f"model {spec.name}: {folder} holds none of {', '.join(known)}; fetch the model again"
        )


def weights_variant(folder: Path) -> str | None:
    """ "fp16" when the folder of a network holds half-precision weights only, else None."""
    names = [path.name for path in folder.glob("*.safetensors")]
    half = [name for name in names if ".fp16." in name]
    return "fp16" if half and len(half) == len(names) else None


def _read_json(spec: ModelSpec, path: Path) -> object:
    try:
        document: object = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(
            f"model {spec.name}: cannot read {path} ({error.strerror}); "
            "fetch the model again or correct weights"
        ) from None
    except ValueError as error:
        raise ModelError(
            f"model {spec.name}: {path} is not JSON ({error}); fetch the model again"
        ) from None
    return document
