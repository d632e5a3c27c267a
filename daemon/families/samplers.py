"""The samplers, by the names that jobs use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

Options = Mapping[str, bool | int | str]


@dataclass(frozen=True, slots=True)
class Sampler:
    """A diffusers scheduler class, what it is given beside the model's own config, and the
    name that A1111 and the readers of its metadata use.

    `zero_snr` is whether it renders models that were trained to zero terminal SNR; `max_steps`
    the most it can take, where that is fewer than a job may ask for.
    """

    scheduler: str
    label: str
    options: Options = field(default_factory=dict)
    zero_snr: bool = True
    max_steps: int | None = None


_SOLVER = "DPMSolverMultistepScheduler"
_KARRAS: Options = {"use_karras_sigmas": True}
_SDE_KARRAS: Options = {**_KARRAS, "algorithm_type": "sde-dpmsolver++"}

# Where the SNR ends at zero, sigma begins at 4096. Karras' spacing then puts two steps on the
# last timestep, diffusers 0.42 begins at the second of them and runs off the end. Its Heun does
# not know of zero SNR.
samplers: dict[str, Sampler] = {
    "euler": Sampler("EulerDiscreteScheduler", "Euler"),
    "euler_a": Sampler("EulerAncestralDiscreteScheduler", "Euler a"),
    "dpm++_2m": Sampler(_SOLVER, "DPM++ 2M"),
    "dpm++_2m_karras": Sampler(_SOLVER, "DPM++ 2M Karras", _KARRAS, zero_snr=False),
    "dpm++_2m_sde_karras": Sampler(_SOLVER, "DPM++ 2M SDE Karras", _SDE_KARRAS, zero_snr=False),
    "dpm++_3m_sde_karras": Sampler(
        _SOLVER, "DPM++ 3M SDE Karras", {**_SDE_KARRAS, "solver_order": 3}, zero_snr=False
    ),
    "unipc": Sampler("UniPCMultistepScheduler", "UniPC"),
    # Clipping x0 to [-1, 1] is meant for pixels; latents reach further and would lose colour.
    "ddim": Sampler("DDIMScheduler", "DDIM", {"clip_sample": False}),
    # Its steps are some of the 50 that the models for it were distilled with.
    "lcm": Sampler("LCMScheduler", "LCM", {"clip_sample": False}, max_steps=50),
    "heun": Sampler("HeunDiscreteScheduler", "Heun", {"clip_sample": False}, zero_snr=False),
}
"""Those of the families that denoise with a discrete noise schedule (SDXL)."""

flow_samplers: dict[str, Sampler] = {"euler": Sampler("FlowMatchEulerDiscreteScheduler", "Euler")}
"""Those of the flow-matching families."""
