"""Pipelines from single and split files are the pipelines of the folders they were made from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch

from daemon.errors import ModelError
from daemon.families import Model, ModelSpec, load
from daemon.weights.assembly import assemble
from spool.catalogue import Catalogue, ModelEntry
from spool.door import resolve
from spool.jobs import JobRequest, ResolvedJob
from tests import models
from tests.models import original_files as original
from tests.models.gguf_files import save_transformer_gguf

PARTS = ("unet", "transformer", "vae", "text_encoder", "text_encoder_2")
FLOAT32 = {"default": torch.float32}


@dataclass(frozen=True)
class Case:
    """A model as someone has it: made from a folder, named by keys of genzo.toml."""

    family: str
    folder: Callable[[Path], Path]
    files: dict[str, Callable[[Path, Path], Path]]
    borrowed: tuple[str, ...] = ()
    more: dict[str, Any] = field(default_factory=dict)


def _float32(save: Callable[..., Path], **more: Any) -> Callable[[Path, Path], Path]:
    return lambda folder, file: save(folder, file, precision="float32", **more)


_SPLIT_FLUX = {
    "weights": _float32(original.save_transformer),
    "vae": _float32(original.save_vae),
    "text_encoder": _float32(original.save_clip_l),
    "text_encoder_2": _float32(original.save_t5xxl),
}
CASES = {
    "sdxl checkpoint": Case(
        "sdxl", models.save_tiny_sdxl_real, {"weights": _float32(original.save_sdxl_checkpoint)}
    ),
    "flux dev, all in one": Case(
        "flux", models.save_tiny_flux_dev, {"weights": _float32(original.save_flux_checkpoint)}
    ),
    "flux dev, split": Case("flux", models.save_tiny_flux_dev, _SPLIT_FLUX),
    "flux schnell, split, ComfyUI's names": Case(
        "flux",
        models.save_tiny_flux_schnell,
        {
            **_SPLIT_FLUX,
            "weights": _float32(original.save_transformer, prefix=original.COMFY_PREFIX),
        },
    ),
    "flux dev, the rest borrowed from a folder": Case(
        "flux",
        models.save_tiny_flux_dev,
        {"weights": _float32(original.save_transformer)},
        ("vae", "text_encoder", "text_encoder_2"),
    ),
    "chroma, split": Case(
        "chroma",
        models.save_tiny_chroma,
        {
            "weights": _float32(original.save_transformer),
            "vae": _float32(original.save_vae),
            "text_encoder": _float32(original.save_t5xxl),
        },
    ),
    "chroma, ComfyUI's names": Case(
        "chroma",
        models.save_tiny_chroma,
        {"weights": _float32(original.save_transformer, prefix=original.COMFY_PREFIX)},
        ("vae", "text_encoder"),
    ),
    "zimage, split": Case(
        "zimage",
        models.save_tiny_zimage_turbo,
        {
            "weights": _float32(original.save_transformer, prefix=original.COMFY_PREFIX),
            "vae": _float32(original.save_vae),
            "text_encoder": _float32(original.save_qwen3),
        },
    ),
}


def _spec(case: Case, home: Path, **more: Any) -> tuple[ModelSpec, Path]:
    folder = case.folder(home / "folder")
    files = {
        key: save(folder, home / f"{key}.safetensors") for key, save in case.files.items()
    } | dict.fromkeys(case.borrowed, folder)
    spec = ModelSpec("m", case.family, **{"config": folder, **files, **case.more, **more})
    return spec, folder


@pytest.mark.parametrize("name", CASES)
def test_every_tensor_of_the_files_is_that_of_the_folder(name: str, tmp_path: Path) -> None:
    spec, folder = _spec(CASES[name], tmp_path)
    assembled = assemble(spec, FLOAT32)
    bare = models.open_bare(folder)
    assert type(assembled) is type(bare)
    for part in PARTS:
        if getattr(bare, part, None) is None:
            continue
        ours, theirs = (getattr(pipe, part).state_dict() for pipe in (assembled, bare))
        theirs = {n: v for n, v in theirs.items() if n in ours or not n.startswith("lm_head")}
        prefix = "" if ours.keys() & theirs.keys() else "model."
        for tensor, value in theirs.items():
            assert torch.equal(ours[prefix + tensor], value), f"{part}.{tensor}"
    assert assembled.scheduler.config == bare.scheduler.config


def test_a_text_encoder_is_named_when_it_is_missing(tmp_path: Path) -> None:
    spec, _ = _spec(CASES["flux dev, split"], tmp_path, text_encoder_2=None)
    with pytest.raises(ModelError, match=r"holds no t5; .* as `text_encoder_2`"):
        assemble(spec, FLOAT32)


def test_a_tokenizer_is_named_when_it_is_missing(tmp_path: Path) -> None:
    spec, _ = _spec(CASES["zimage, split"], tmp_path)
    empty = tmp_path / "empty"
    for part in ("transformer", "vae", "text_encoder"):
        (empty / part).mkdir(parents=True)
        config = (tmp_path / "folder" / part / "config.json").read_text()
        (empty / part / "config.json").write_text(config)
    other = ModelSpec(
        "m", "zimage", spec.weights, config=empty, vae=spec.vae, text_encoder=spec.text_encoder
    )
    with pytest.raises(ModelError, match=r"its tokenizer is missing.*`tokenizer`"):
        assemble(other, FLOAT32)


@pytest.mark.parametrize("name", CASES)
def test_a_model_in_files_paints_what_its_folder_paints(name: str, tmp_path: Path) -> None:
    spec, folder = _spec(CASES[name], tmp_path)
    apart, together = (load(it) for it in (spec, ModelSpec("m", spec.family, folder, device="cpu")))
    _copy_weights(together)
    job = resolved(apart, JobRequest(prompt="a red cat", width=64, height=96, steps=2))
    images = [model.decode(model.denoise(job, 3, lambda _: None)) for model in (apart, together)]
    assert images[0].tobytes() == images[1].tobytes()


def test_plain_fp8_is_loaded_as_it_is_and_scaled_fp8_is_restored(tmp_path: Path) -> None:
    folder = models.save_tiny_flux_dev(tmp_path / "folder")
    wanted = models.state_of(folder, "transformer")
    for precision in ("fp8", "scaled_fp8"):
        file = original.save_transformer(
            folder, tmp_path / f"{precision}.safetensors", precision=precision
        )
        spec = ModelSpec(
            "m",
            "flux",
            file,
            config=folder,
            vae=folder,
            text_encoder=folder,
            text_encoder_2=folder,
        )
        found = assemble(spec, FLOAT32).transformer.state_dict()
        assert found.keys() == wanted.keys()
        for tensor, value in wanted.items():
            spread = value.abs().max().item()
            error = (found[tensor].float() - value).abs().max().item()
            assert error <= 0.08 * spread, f"{precision}: {tensor}"


@pytest.mark.parametrize("v_pred", [False, True])
@pytest.mark.parametrize("ztsnr", [False, True])
def test_what_a_checkpoint_says_of_its_training_reaches_the_scheduler(
    tmp_path: Path, *, v_pred: bool, ztsnr: bool
) -> None:
    folder = models.save_tiny_sdxl_real(tmp_path / "folder")
    file = original.save_sdxl_checkpoint(
        folder, tmp_path / "model.safetensors", v_pred=v_pred, ztsnr=ztsnr
    )
    config = assemble(ModelSpec("m", "sdxl", file, config=folder), FLOAT32).scheduler.config
    assert config["prediction_type"] == ("v_prediction" if v_pred else "epsilon")
    assert bool(config.get("rescale_betas_zero_snr")) == ztsnr
    assert config["timestep_spacing"] == ("trailing" if ztsnr else "leading")


def resolved(model: Model, request: JobRequest) -> ResolvedJob:
    """What the door makes of a request for the model."""
    schema = model.parameters.model_json_schema()
    entry = ModelEntry("m", model.spec.family, schema, default=True)
    job = resolve(request, 3, Catalogue({"m": entry}))
    assert job is not None
    return job


def _copy_weights(model: Any) -> None:
    """Lay a folder's weights, which diffusers leaves in the files' pages, into memory as a file's.

    The same numbers at another alignment are summed in another order, and round otherwise.
    """
    for part in PARTS:
        module = getattr(model._pipeline, part, None)
        for parameter in module.parameters() if module is not None else ():
            parameter.data = parameter.data.clone()


def test_both_encoders_of_an_sdxl_may_come_in_files_of_their_own(tmp_path: Path) -> None:
    """The second one under transformers' names, as ComfyUI distributes it."""
    folder = models.save_tiny_sdxl_real(tmp_path / "folder")
    checkpoint = original.sdxl_checkpoint(folder)
    bare = {name: value for name, value in checkpoint.items() if "conditioner" not in name}
    file = original.write_tensors(tmp_path / "unet-and-vae.safetensors", bare)
    clip_g = models.state_of(folder, "text_encoder_2")
    spec = ModelSpec(
        "m",
        "sdxl",
        file,
        config=folder,
        text_encoder=original.save_clip_l(folder, tmp_path / "clip_l.safetensors"),
        text_encoder_2=original.write_tensors(tmp_path / "clip_g.safetensors", clip_g),
    )
    found = assemble(spec, FLOAT32).text_encoder_2.state_dict()
    assert found.keys() == clip_g.keys()
    assert all(torch.equal(found[name], value) for name, value in clip_g.items())


@pytest.mark.parametrize("precision", ["fp8", "scaled_fp8"])
def test_an_all_in_one_file_may_be_of_eight_bits(tmp_path: Path, precision: Any) -> None:
    folder = models.save_tiny_flux_dev(tmp_path / "folder")
    file = original.save_flux_checkpoint(folder, tmp_path / "flux.safetensors", precision=precision)
    pipeline = assemble(ModelSpec("m", "flux", file, config=folder), FLOAT32)
    for part in ("transformer", "text_encoder_2"):
        found = getattr(pipeline, part).state_dict()
        for name, value in models.state_of(folder, part).items():
            error = (found[name].float() - value).abs().max().item()
            assert error <= 0.08 * value.abs().max().item(), f"{part}.{name}"


def test_a_gguf_stays_quantised_and_paints_almost_the_same(tmp_path: Path) -> None:
    pytest.importorskip("gguf")
    folder = models.save_tiny_flux_dev(tmp_path / "folder")
    file = save_transformer_gguf(folder, tmp_path / "flux-Q8_0.gguf")
    keys = ("config", "vae", "text_encoder", "text_encoder_2")
    beside: dict[str, Any] = dict.fromkeys(keys, folder)
    apart = load(ModelSpec("m", "flux", file, device="cpu", **beside))
    together = load(ModelSpec("m", "flux", folder, device="cpu"))
    quantised = [
        value
        for value in assemble(apart.spec, FLOAT32).transformer.parameters()
        if value.dtype == torch.uint8
    ]
    assert quantised
    job = resolved(apart, JobRequest(prompt="a red cat", width=64, height=96, steps=2))
    ours, theirs = (model.denoise(job, 3, lambda _: None) for model in (apart, together))
    assert (ours - theirs).abs().max() < 0.1 * theirs.abs().max()
