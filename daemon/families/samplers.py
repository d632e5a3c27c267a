"""The samplers of the families that denoise with a discrete noise schedule (SDXL)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Sampler:
    """A diffusers scheduler class, what it is given beside the model's own config, and the
    name that A1111 and the readers of its metadata use."""

    scheduler: str
    label: str
    options: Mapping[str, bool] = field(default_factory=dict)


samplers: dict[str, Sampler] = {
    "euler": Sampler("EulerDiscreteScheduler", "Euler"),
    "euler_a": Sampler("EulerAncestralDiscreteScheduler", "Euler a"),
    "dpm++_2m": Sampler("DPMSolverMultistepScheduler", "DPM++ 2M"),
    "dpm++_2m_karras": Sampler(
        "DPMSolverMultistepScheduler", "DPM++ 2M Karras", {"use_karras_sigmas": True}
    ),
    # Clipping x0 to [-1, 1] is meant for pixels; latents reach further and would lose colour.
    "ddim": Sampler("DDIMScheduler", "DDIM", {"clip_sample": False}),
    "heun": Sampler("HeunDiscreteScheduler", "Heun", {"clip_sample": False}),
    "unipc": Sampler("UniPCMultistepScheduler", "UniPC"),
}
