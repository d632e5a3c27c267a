"""Patches are laid out as the pipelines do it."""

from __future__ import annotations

import importlib

import torch

from daemon.families.packing import unpack


def test_patches_are_laid_out_as_diffusers_does_it() -> None:
    flux = importlib.import_module("diffusers").FluxPipeline
    packed = torch.randn(1, 4 * 6, 64)
    assert torch.equal(unpack(packed, 8, 12), flux._unpack_latents(packed, 64, 96, 8))


def test_packing_is_undone() -> None:
    flux = importlib.import_module("diffusers").FluxPipeline
    latents = torch.randn(1, 16, 12, 8)
    assert torch.equal(unpack(flux._pack_latents(latents, 1, 16, 12, 8), 12, 8), latents)
