"""Between pictures and the latents that a family denoises."""

from __future__ import annotations

import logging
from typing import cast

import torch
from PIL import Image

from daemon.errors import RenderError
from daemon.families.pipelines import Vae
from daemon.families.profiles import Decoding, Experience
from daemon.previews import Projection
from daemon.projections import cache_directory, digest_of, kept_projection

log = logging.getLogger(__name__)

_WAYS = tuple(Decoding)


class Autoencoder:
    """A diffusers VAE with the shift and scale of its config, which computes on `device`.

    It goes there when it is used, and stays until it is taken away (see `Residency`). `dtype` is
    the one it runs in, `scale_factor` the number of pixels to a latent, along each side.
    """

    def __init__(self, vae: Vae, device: torch.device, experience: Experience) -> None:
        self._vae = vae
        self._scale: float = vae.config.scaling_factor
        self._shift: float | None = vae.config.shift_factor
        self._device = device
        self._experience = experience
        # Asked of the VAE each time, it would walk through all of its modules.
        self.dtype = vae.dtype
        self.decoded = Decoding.WHOLE
        """How the last picture was decoded."""
        self.scale_factor = 2 ** (len(vae.config.block_out_channels) - 1)

    def projection(self) -> Projection:
        """The projection of its latents to colours, for previews; fitted only if none is kept.

        Ask for it while the VAE is in float32: it is fitted in the VAE's dtype.
        """
        config = self._vae.config
        return kept_projection(
            cache_directory(),
            digest_of(cast("torch.nn.Module", self._vae), dict(config)),
            self.encode,
            self.scale_factor,
            config.latent_channels,
        )

    def lower(self, dtype: torch.dtype) -> None:
        """Run in this dtype from now on, unless the VAE's config says that it needs float32.

        It says so (`force_upcast`) of float16 only: bfloat16 reaches as far as float32 does.
        """
        if dtype != torch.float16 or not self._vae.config.force_upcast:
            self.to(dtype)

    def to(self, dtype: torch.dtype) -> None:
        """Run in this dtype from now on, whatever the VAE's config says."""
        if dtype != self.dtype:
            self._vae.to(dtype)
            self.dtype = dtype

    @torch.inference_mode()
    def encode(self, pictures: torch.Tensor) -> torch.Tensor:
        """Encode pictures (n, 3, H, W) in [-1, 1] to latents (n, channels, h, w)."""
        self._vae.to(self._device)
        pictures = pictures.to(self._device, self.dtype)
        latents = self._vae.encode(pictures, return_dict=False)[0].mode()
        scale = self._scale
        if self._shift is not None:
            return (latents - self._shift) * scale
        spread = self._mean_and_std(latents)
        if spread is None:
            return latents * scale
        mean, std = spread
        return (latents - mean) * scale / std

    @torch.inference_mode()
    def decode(self, latents: torch.Tensor) -> Image.Image:
        """Decode latents (1, channels, h, w) to the picture, bit-equal to the pipeline's own.

        Where the GPU's memory does not suffice it is decoded in tiles, whose seams change some
        pixels, and then on the CPU; `decoded` says which, and the next picture of this size is
        decoded so at once. (A batch of one has no slices.) A picture that is not finite in half
        precision is decoded again in float32. Raises RenderError when it is not finite there
        either.
        """
        pixels = self._decode_within_memory(latents)
        if not is_finite(pixels) and self.dtype != torch.float32:
            pixels = self._decode_in_float32(latents)
        if not is_finite(pixels):
            raise RenderError(
                "the VAE decodes finite latents to a picture that is not finite, even in float32; "
                "its weights are damaged: fetch the model again"
            )
        return to_image(pixels)

    def _decode_within_memory(self, latents: torch.Tensor) -> torch.Tensor:
        height, width = latents.shape[-2:]
        size = (width * self.scale_factor, height * self.scale_factor)
        self.decoded = self._experience.decoding(size)
        while True:
            try:
                return self._decode_as(self.decoded, latents)
            except torch.OutOfMemoryError as error:
                if self.decoded is Decoding.ON_CPU:
                    raise
                reason = str(error).partition(". ")[0]
            # Outside of the handler: the error holds on to the tensors of its frames.
            self.decoded = _WAYS[_WAYS.index(self.decoded) + 1]
            self._experience.note_decoding(size, self.decoded)
            log.warning("the picture is decoded %s: %s", self.decoded, reason)
            if self._device.type == "cuda":
                torch.cuda.empty_cache()

    def _decode_as(self, decoding: Decoding, latents: torch.Tensor) -> torch.Tensor:
        if decoding is Decoding.ON_CPU:
            return self._decode_on_cpu(latents)
        if decoding is Decoding.WHOLE:
            return self._decode(latents)
        self._vae.enable_tiling()
        try:
            return self._decode(latents)
        finally:
            self._vae.disable_tiling()

    def _decode_on_cpu(self, latents: torch.Tensor) -> torch.Tensor:
        device, dtype = self._device, self.dtype
        self._move(torch.device("cpu"), torch.float32)
        try:
            return self._decode(latents)
        finally:
            self._move(device, dtype)

    def _move(self, device: torch.device, dtype: torch.dtype) -> None:
        self._vae.to(device, dtype)
        self._device, self.dtype = device, dtype

    def _decode_in_float32(self, latents: torch.Tensor) -> torch.Tensor:
        dtype = self.dtype
        self.to(torch.float32)
        try:
            return self._decode(latents)
        finally:
            self.to(dtype)

    def _decode(self, latents: torch.Tensor) -> torch.Tensor:
        self._vae.to(self._device)
        latents = latents.to(self._device, self.dtype)
        scale = self._scale
        spread = self._mean_and_std(latents)
        # The pipeline's operations in the pipeline's order: another order rounds differently.
        if self._shift is not None:
            latents = latents / scale + self._shift
        elif spread is None:
            latents = latents / scale
        else:
            mean, std = spread
            latents = latents * std / scale + mean
        return self._vae.decode(latents, return_dict=False)[0]

    def _mean_and_std(self, like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor] | None:
        mean, std = self._vae.config.latents_mean, self._vae.config.latents_std
        if mean is None or std is None:
            return None
        return (
            torch.tensor(mean).view(1, -1, 1, 1).to(like),
            torch.tensor(std).view(1, -1, 1, 1).to(like),
        )


def is_finite(values: torch.Tensor) -> bool:
    """Whether no value is infinite or not a number."""
    return bool(torch.isfinite(values).all())


def to_image(pixels: torch.Tensor) -> Image.Image:
    """An RGB image of pixels (1, 3, H, W) in [-1, 1]; what lies outside is clipped.

    Bit-equal to diffusers' `VaeImageProcessor.postprocess`, without its copies in float.
    """
    levels = (pixels[0] * 0.5 + 0.5).clamp(0, 1).float().mul(255).round().to(torch.uint8)
    return Image.fromarray(levels.permute(1, 2, 0).contiguous().cpu().numpy())
