"""Fitted projections of VAEs, kept between loads in a directory of small files.

Each file is named by what decides the fit and replaced whole, so that several daemons may share
the directory; anything in it may be deleted at any time, and is then fitted again. Nothing here
is durable: a file that a power cut damaged is fitted anew.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from daemon.previews import FIT_VERSION, Projection, fit_projection

log = logging.getLogger(__name__)


def cache_directory(environment: Mapping[str, str] = os.environ) -> Path | None:
    """Where projections are kept: what systemd gives the service, else the user's cache.

    None if there is neither.
    """
    own = environment.get("CACHE_DIRECTORY", "").partition(":")[0]
    if own:
        return Path(own) / "projections"
    try:
        cache = environment.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    except RuntimeError:  # a user without a home
        return None
    return Path(cache) / "genzo" / "projections"


def digest_of(vae: torch.nn.Module, config: Mapping[str, object]) -> str:
    """A digest of all that decides the fit: the half of the VAE that encodes, its scale and shift.

    Costs one read of that half, 140 MB of a real VAE.
    """
    digest = hashlib.sha256()
    scales = {n: v for n, v in config.items() if n.startswith(("scaling", "shift", "latents_"))}
    digest.update(json.dumps([FIT_VERSION, scales], sort_keys=True, default=str).encode())
    for name, value in sorted(vae.state_dict().items()):
        if name.startswith(("encoder.", "quant_conv.")):
            digest.update(f"{name} {tuple(value.shape)} {value.dtype}".encode())
            digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()


def kept_projection(
    directory: Path | None,
    digest: str,
    encode: Callable[[torch.Tensor], torch.Tensor],
    scale_factor: int,
    channels: int,
) -> Projection:
    """The projection of the VAE with this digest: from the directory, else fitted and kept there.

    `encode` and `scale_factor` are those of `fit_projection`, `channels` the latents'.
    """
    path = directory / f"{digest}.json" if directory else None
    weights = _read(path, channels) if path else None
    if weights is not None:
        return Projection(weights, scale_factor)
    projection = fit_projection(encode, scale_factor)
    if path:
        _write(path, projection.weights)
    return projection


def _read(path: Path, channels: int) -> torch.Tensor | None:
    try:
        weights = torch.tensor(json.loads(path.read_bytes()), dtype=torch.float32)
    except (OSError, ValueError, TypeError, RuntimeError, RecursionError):
        return None
    if weights.shape != (channels + 1, 3) or not bool(torch.isfinite(weights).all()):
        return None
    return weights


def _write(path: Path, weights: torch.Tensor) -> None:
    scratch = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch.write_text(json.dumps(weights.tolist()), encoding="utf-8")
        scratch.replace(path)
    except OSError as error:
        log.info("the previews' projection is not kept: %s", error)
