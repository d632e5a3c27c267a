"""What each family's pipeline is made of, and where the configuration of each part comes from."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from daemon.errors import ModelError
from daemon.families.base import ModelSpec
from daemon.weights.contents import Contents, Part, contents_of
from daemon.weights.headers import WeightsError, read_header


@dataclass(frozen=True, slots=True)
class Component:
    """One network of a pipeline: its name there, its class, and the part of a file it is.

    `setting` is the key of genzo.toml that names a file or folder of its own for it.
    """

    name: str
    class_name: str
    part: Part
    setting: str | None = None


@dataclass(frozen=True, slots=True)
class Tokenizer:
    """A tokenizer of a pipeline; `is_clip` says that genzo has its vocabulary."""

    name: str
    class_name: str
    is_clip: bool = False


@dataclass(frozen=True, slots=True)
class Layout:
    """The components of a family's pipeline class."""

    pipeline: str
    components: tuple[Component, ...]
    tokenizers: tuple[Tokenizer, ...]


_VAE = Component("vae", "AutoencoderKL", Part.VAE, "vae")
_CLIP_L = Component("text_encoder", "CLIPTextModel", Part.CLIP_L, "text_encoder")

LAYOUTS: dict[str, Layout] = {
    "sdxl": Layout(
        "StableDiffusionXLPipeline",
        (
            Component("unet", "UNet2DConditionModel", Part.NETWORK),
            _VAE,
            _CLIP_L,
            Component(
                "text_encoder_2", "CLIPTextModelWithProjection", Part.CLIP_G, "text_encoder_2"
            ),
        ),
        (
            Tokenizer("tokenizer", "CLIPTokenizer", is_clip=True),
            Tokenizer("tokenizer_2", "CLIPTokenizer", is_clip=True),
        ),
    ),
    "flux": Layout(
        "FluxPipeline",
        (
            Component("transformer", "FluxTransformer2DModel", Part.NETWORK),
            _VAE,
            _CLIP_L,
            Component("text_encoder_2", "T5EncoderModel", Part.T5, "text_encoder_2"),
        ),
        (
            Tokenizer("tokenizer", "CLIPTokenizer", is_clip=True),
            Tokenizer("tokenizer_2", "T5Tokenizer"),
        ),
    ),
    "chroma": Layout(
        "ChromaPipeline",
        (
            Component("transformer", "ChromaTransformer2DModel", Part.NETWORK),
            _VAE,
            Component("text_encoder", "T5EncoderModel", Part.T5, "text_encoder"),
        ),
        (Tokenizer("tokenizer", "T5Tokenizer"),),
    ),
    "zimage": Layout(
        "ZImagePipeline",
        (
            Component("transformer", "ZImageTransformer2DModel", Part.NETWORK),
            _VAE,
            Component("text_encoder", "Qwen3ForCausalLM", Part.QWEN3, "text_encoder"),
        ),
        (Tokenizer("tokenizer", "Qwen2Tokenizer"),),
    ),
}


def inspect(spec: ModelSpec) -> Contents:
    """What the file `spec.weights` holds, which must be a network of the spec's family.

    Raises ModelError otherwise.
    """
    contents = contents_of(read_header(spec.weights))
    if contents.family == spec.family:
        return contents
    if contents.family is None:
        held = ", ".join(contents.parts)
        raise WeightsError(
            f"{spec.weights}: holds no {spec.family} network, only {held}; point `weights` at the "
            "model, and name this file as its vae or text encoder"
        )
    raise WeightsError(
        f"{spec.weights}: is a {contents.family} model, model {spec.name} says family "
        f"{spec.family!r}; correct `family`"
    )


def config_of(spec: ModelSpec, contents: Contents, component: str) -> dict[str, Any]:
    """The configuration of a component: from `config`, else what genzo knows of the model.

    What the weights say of their training goes over the scheduler's. Raises ModelError if the
    file in `config` cannot be read.
    """
    config = _own_config(spec, contents, component)
    if component == "scheduler" and contents.is_v_prediction:
        config["prediction_type"] = "v_prediction"
    if component == "scheduler" and contents.is_zero_snr:
        config |= {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}
    return config


def _own_config(spec: ModelSpec, contents: Contents, component: str) -> dict[str, Any]:
    if spec.config is None:
        return dict(_shipped(_model_name(spec, contents))[component])
    name = "scheduler_config.json" if component == "scheduler" else "config.json"
    path = spec.config / component / name
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(
            f"model {spec.name}: cannot read {path} ({error}); `config` names a diffusers "
            "folder that has the configuration of each part"
        ) from None
    if not isinstance(document, dict):
        raise ModelError(f"model {spec.name}: {path} is not a JSON object")
    return document


def folder_component(folder: Path, component: str) -> Path | None:
    """The folder of a component in a diffusers folder, or the folder itself if it is one."""
    for candidate in (folder / component, folder):
        if (candidate / "config.json").is_file():
            return candidate
    return None


def _model_name(spec: ModelSpec, contents: Contents) -> str:
    if spec.family == "flux":
        return "flux-dev" if contents.has_guidance else "flux-schnell"
    if spec.family == "zimage":
        return f"zimage-{spec.variant or 'turbo'}"
    return spec.family


@cache
def _shipped(model: str) -> dict[str, dict[str, Any]]:
    text = (files("daemon") / "weights" / "configs" / f"{model}.json").read_text("utf-8")
    document: dict[str, dict[str, Any]] = json.loads(text)
    return document
