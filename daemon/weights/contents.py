"""What is in a weights file, told from the names of its tensors.

People's files differ in three ways: which model it is, which of its parts are inside (a whole
checkpoint, a network alone, one text encoder), and under which names (the model's authors', those
of ComfyUI, those of diffusers). Shapes are not asked, so that small models are told apart too.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from daemon.weights.headers import Header, WeightsError


class Part(StrEnum):
    """A part of a model that a file may hold."""

    NETWORK = "network"
    VAE = "vae"
    CLIP_L = "clip_l"
    CLIP_G = "clip_g"
    T5 = "t5"
    QWEN3 = "qwen3"


class Precision(StrEnum):
    """How the weights of a part are stored."""

    PLAIN = "plain"
    FP8 = "fp8"
    SCALED_FP8 = "scaled_fp8"
    GGUF = "gguf"


@dataclass(frozen=True, slots=True)
class Contents:
    """What `header` holds: `parts` maps each part to the prefix of its tensors' names.

    `family` is that of the network, None if there is none. `is_v_prediction` and `is_zero_snr` are
    what the file says of itself, `has_guidance` whether a flux network takes guidance (dev).
    """

    header: Header
    family: str | None
    parts: dict[Part, str]
    is_v_prediction: bool = False
    is_zero_snr: bool = False
    has_guidance: bool = False

    def names(self, part: Part) -> list[str]:
        """The names of the part's tensors, without its prefix."""
        prefix = self.parts[part]
        others = [
            p for other, p in self.parts.items() if other is not part and len(p) > len(prefix)
        ]
        bare = (
            name.removeprefix(prefix)
            for name in self.header.tensors
            if name.startswith(prefix) and not name.startswith(tuple(others))
        )
        return [name for name in bare if name not in _MARKS]

    def precision(self, part: Part) -> Precision:
        """How the part's weights are stored; the parts of one file may differ."""
        if self.header.is_gguf:
            return Precision.GGUF
        prefix = self.parts[part]
        marks = [prefix + _SCALED, *([_SCALED] if part is Part.NETWORK else [])]
        if any(mark in self.header.tensors for mark in marks):
            return Precision.SCALED_FP8
        names = self.names(part)
        if any(name.endswith(_FACTORS) for name in names):
            return Precision.SCALED_FP8
        dtypes = {self.header.tensors[prefix + name].dtype for name in names}
        if any(dtype.startswith("F8_E") for dtype in dtypes):
            return Precision.FP8
        return Precision.PLAIN


_SCALED = "scaled_fp8"
_FACTORS = (".scale_weight", ".weight_scale", ".comfy_quant")
_MARKS = frozenset({"v_pred", "ztsnr", _SCALED, "edm_vpred.sigma_max", "edm_vpred.sigma_min"})
_COMFY = "model.diffusion_model."

# Each mark is the name of one tensor that every such network has, and no other.
_NETWORKS: tuple[tuple[str, str], ...] = (
    ("sdxl", "label_emb.0.0.weight"),
    ("sdxl", "add_embedding.linear_1.weight"),
    ("chroma", "distilled_guidance_layer.in_proj.weight"),
    ("flux", "double_blocks.0.img_attn.qkv.weight"),
    ("flux", "single_transformer_blocks.0.attn.to_q.weight"),
    ("zimage", "cap_pad_token"),
)
_NETWORK_PREFIXES = (_COMFY, "", "diffusion_model.", "model.", "transformer.", "unet.")
_ENCODERS: tuple[tuple[Part, str, tuple[str, ...]], ...] = (
    (
        Part.CLIP_L,
        "text_model.embeddings.token_embedding.weight",
        ("conditioner.embedders.0.transformer.", "text_encoders.clip_l.transformer.", ""),
    ),
    (
        Part.CLIP_G,
        "token_embedding.weight",
        ("conditioner.embedders.1.model.", "text_encoders.clip_g.transformer.", ""),
    ),
    (
        Part.T5,
        "encoder.block.0.layer.0.SelfAttention.q.weight",
        ("text_encoders.t5xxl.transformer.", ""),
    ),
    (
        Part.QWEN3,
        "model.layers.0.self_attn.q_norm.weight",
        ("text_encoders.qwen3_4b.transformer.", ""),
    ),
    (Part.QWEN3, "layers.0.self_attn.q_norm.weight", ("",)),
)
_VAE_MARKS = ("decoder.conv_in.weight",)
_VAE_PREFIXES = ("first_stage_model.", "vae.", "")
_LORA_MARKS = (".lora_down.", ".lora_up.", ".lora_A.", ".lora_B.", ".hada_w1", ".lokr_w1")
_SD1_MARK = "cond_stage_model."
_V_PREDICTION = frozenset({"v", "v_prediction", "v-prediction", "vpred"})


def contents_of(header: Header) -> Contents:
    """What a file holds. Raises WeightsError if it is nothing that we load."""
    names = header.tensors.keys()
    _refuse_lora(header)
    parts: dict[Part, str] = {}
    family = None
    found = _find_network(header)
    if found is not None:
        family, parts[Part.NETWORK] = found
    for prefix in _VAE_PREFIXES:
        if any(prefix + mark in names for mark in _VAE_MARKS) and (prefix or family is None):
            parts[Part.VAE] = prefix
            break
    for part, mark, prefixes in _ENCODERS:
        for prefix in prefixes:
            if prefix + mark in names and (prefix or family is None):
                parts[part] = prefix
                break
    if not parts:
        raise WeightsError(f"{header.path}: {_what_else(header)}")
    return Contents(
        header,
        family,
        parts,
        is_v_prediction=_says_v_prediction(header),
        is_zero_snr="ztsnr" in names,
        has_guidance=any(".guidance_in." in f".{n}" or ".guidance_embedder." in n for n in names),
    )


def _find_network(header: Header) -> tuple[str, str] | None:
    for prefix in _NETWORK_PREFIXES:
        for family, mark in _NETWORKS:
            if prefix + mark in header.tensors:
                return family, prefix
    return None


def _refuse_lora(header: Header) -> None:
    for name in header.tensors:
        if name.startswith("lora_") or any(mark in name for mark in _LORA_MARKS):
            raise WeightsError(
                f"{header.path}: is a LoRA (it holds {name}), not a model; lay it into the folder "
                "that the model's `loras` names, and point `weights` at a checkpoint"
            )


def _what_else(header: Header) -> str:
    names = header.tensors.keys()
    if any(name.startswith(_SD1_MARK) for name in names) or any(
        name.startswith(f"{_COMFY}input_blocks.") for name in names
    ):
        return (
            "is a Stable Diffusion 1 or 2 checkpoint, a family that genzo has not; the families "
            "are sdxl, chroma, flux, zimage"
        )
    some = ", ".join(sorted(names)[:2]) or "no tensors"
    return (
        f"is no model that genzo knows (it holds {some}); the families are sdxl, chroma, flux, "
        "zimage"
    )


def _says_v_prediction(header: Header) -> bool:
    said = header.metadata.get("modelspec.prediction_type", "").lower()
    return "v_pred" in header.tensors or said in _V_PREDICTION
