"""The table of what a picture takes, against the real networks on the meta device."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.resources import files
from typing import Any

import pytest
import torch

from daemon import libraries
from daemon.families.estimates import PASSES, Needs, choose, needs_of
from daemon.families.profiles import Experience, Profile
from tests.daemon.live_tensors import peak_bytes

BF16 = torch.bfloat16
GIB = 1 << 30
SIZE_PX = 1536


def meta(*shape: int, dtype: torch.dtype = BF16) -> torch.Tensor:
    return torch.empty(*shape, dtype=dtype, device="meta")


def network(model: str, part: str, class_name: str, dtype: torch.dtype = BF16) -> Any:
    text = (files("daemon") / "weights" / "configs" / f"{model}.json").read_text("utf-8")
    with torch.device("meta"):
        module = getattr(libraries.diffusers(), class_name).from_config(json.loads(text)[part])
    return module.to(dtype)


def sdxl(side: int) -> int:
    unet = network("sdxl", "unet", "UNet2DConditionModel")
    added = {"text_embeds": meta(2, 1280), "time_ids": meta(2, 6)}
    latents, text = meta(2, 4, side // 8, side // 8), meta(2, 77, 2048)
    return peak_bytes(unet, lambda: unet(latents, meta(1), text, added_cond_kwargs=added))


def flux(side: int) -> int:
    transformer = network("flux-dev", "transformer", "FluxTransformer2DModel")
    return packed(transformer, side, pooled_projections=meta(1, 768), guidance=meta(1))


def chroma(side: int) -> int:
    transformer = network("chroma", "transformer", "ChromaTransformer2DModel")
    mask = meta(1, 512 + (side // 16) ** 2)
    return packed(transformer, side, attention_mask=mask)


def packed(transformer: Any, side: int, **more: torch.Tensor) -> int:
    tokens = (side // 16) ** 2
    inputs = {
        "hidden_states": meta(1, tokens, 64),
        "encoder_hidden_states": meta(1, 512, 4096),
        "timestep": meta(1),
        "img_ids": meta(tokens, 3),
        "txt_ids": meta(512, 3),
    }
    return peak_bytes(transformer, lambda: transformer(**inputs, **more))


def zimage(side: int) -> int:
    transformer = network("zimage-base", "transformer", "ZImageTransformer2DModel")
    latents, text = [meta(16, 1, side // 8, side // 8)] * 2, [meta(512, 2560)] * 2
    return peak_bytes(transformer, lambda: transformer(latents, meta(2), text))


@pytest.mark.parametrize("measure", [sdxl, flux, chroma, zimage], ids=lambda each: each.__name__)
def test_the_table_is_what_the_real_networks_hold(measure: Callable[[int], int]) -> None:
    measured = measure(SIZE_PX)
    told = PASSES[measure.__name__].elements((SIZE_PX, SIZE_PX)) * BF16.itemsize
    assert 0.97 * measured <= told <= 1.25 * measured


@pytest.mark.parametrize("model", ["sdxl", "flux-dev"])
def test_the_decode_is_what_the_real_vae_holds(model: str) -> None:
    vae = network(model, "vae", "AutoencoderKL", torch.float32)
    latents = meta(1, vae.config.latent_channels, 128, 128, dtype=torch.float32)
    measured = peak_bytes(vae, lambda: vae.decode(latents))
    told = needs_of("sdxl", BF16, torch.float32)((1024, 1024)).decode / 1.5
    assert 0.97 * measured <= told <= 1.1 * measured


SDXL = {"unet": 5 * GIB, "text_encoder": GIB, "text_encoder_2": GIB, "vae": GIB // 4}
NEEDS = Needs(denoise=GIB // 2, decode=4 * GIB, decode_tile=GIB)


@pytest.mark.parametrize(
    ("available", "profile"),
    [
        (24 * GIB, Profile.FULL),
        (11.3 * GIB, Profile.FULL),
        # The decode would not fit beside the network, and does without it.
        (11.2 * GIB, Profile.BALANCED),
        (5.5 * GIB, Profile.BALANCED),
        (5.4 * GIB, Profile.LOW),
        (-GIB, Profile.LOW),
    ],
)
def test_the_first_profile_that_fits_is_chosen(available: float, profile: Profile) -> None:
    assert choose(int(available), SDXL, NEEDS) is profile


def test_a_decode_that_fits_nowhere_takes_nothing_off_the_gpu() -> None:
    huge = Needs(denoise=GIB // 2, decode=20 * GIB, decode_tile=GIB)
    assert choose(9 * GIB, SDXL, huge) is Profile.FULL
    assert choose(8 * GIB, SDXL, huge) is Profile.BALANCED


def test_what_ran_out_is_passed_over_for_that_size_only() -> None:
    experience = Experience()
    size, other = (1024, 1024), (512, 512)
    experience.note(size, Profile.FULL)
    experience.note(size, Profile.FULL)
    assert experience.profile(size, Profile.FULL) is Profile.BALANCED
    assert experience.profile(size, Profile.LOW) is Profile.LOW
    assert experience.profile(other, Profile.FULL) is Profile.FULL
    experience.note(size, Profile.BALANCED)
    assert experience.profile(size, Profile.FULL) is Profile.LOW
    assert experience.ran_out(size) == (Profile.FULL, Profile.BALANCED)
    experience.note(size, Profile.LOW)
    assert experience.profile(size, Profile.FULL) is Profile.LOW
