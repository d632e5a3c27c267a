"""The denoiser: SDXL's UNet and its two text encoders, very small, trained together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from daemon import libraries
from daemon.families.prompts import emphasised

PARTS = ("unet", "text_encoder", "text_encoder_2")
TIME_WIDTH = 16


@dataclass(frozen=True, slots=True)
class Architecture:
    """Sizes of the three networks; `top_attention` attends at full latent resolution too."""

    widths: tuple[int, int, int] = (32, 64, 112)
    heads: tuple[int, int, int] = (1, 2, 4)
    top_attention: bool = True
    text_widths: tuple[int, int] = (64, 96)
    text_layers: tuple[int, int] = (4, 4)


@dataclass(slots=True)
class Network:
    """The three parts; they see token ids (batch, 77) and latents (batch, 4, h, w)."""

    unet: Any
    text_encoder: Any
    text_encoder_2: Any

    def parts(self) -> Iterator[tuple[str, nn.Module]]:
        for name in PARTS:
            yield name, getattr(self, name)

    def parameters(self) -> dict[str, nn.Parameter]:
        return {
            f"{part}.{name}": parameter
            for part, network in self.parts()
            for name, parameter in network.named_parameters()
        }

    def to(self, device: torch.device) -> Network:
        for _, part in self.parts():
            part.to(device)
        return self

    def encode(
        self, ids: Tensor, ids_2: Tensor, weights: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Per token (batch, 77, sum of text widths) and pooled, as SDXL takes them.

        `weights` (batch, 77) are the tokens', as of a prompt with weights.
        """
        one = self.text_encoder(ids, output_hidden_states=True)
        two = self.text_encoder_2(ids_2, output_hidden_states=True)
        states = [one.hidden_states[-2], two.hidden_states[-2]]
        if weights is not None:
            rows = weights.tolist()
            states = [
                torch.cat([emphasised(row[None], w) for row, w in zip(state, rows, strict=True)])
                for state in states
            ]
        return torch.cat(states, -1), two.text_embeds

    def predict(
        self, noisy: Tensor, timesteps: Tensor, text: tuple[Tensor, Tensor], sizes: Tensor
    ) -> Tensor:
        """The velocity (batch, 4, h, w); `sizes` (batch, 6) is SDXL's size conditioning."""
        conditions = {"text_embeds": text[1], "time_ids": sizes}
        output = self.unet(noisy, timesteps, text[0], added_cond_kwargs=conditions)
        velocity: Tensor = output.sample
        return velocity


def new_network(architecture: Architecture, vocabulary: int, seed: int = 1) -> Network:
    """Untrained networks; the same seed gives the same weights."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = Network(_unet(architecture), *_text_encoders(architecture, vocabulary))
        _initialise(network)
    return network


def open_network(folder: Path) -> Network:
    """The networks of a model folder in half-precision files, in single precision."""
    transformers, options = libraries.transformers(), {"variant": "fp16", "dtype": torch.float32}
    unet = libraries.diffusers().UNet2DConditionModel.from_pretrained(
        folder / "unet", variant="fp16", torch_dtype=torch.float32
    )
    one = transformers.CLIPTextModel.from_pretrained(folder / "text_encoder", **options)
    two = transformers.CLIPTextModelWithProjection.from_pretrained(
        folder / "text_encoder_2", **options
    )
    return Network(unet, one, two)


def prepare(network: Network) -> None:
    """Ready for training; on a CPU plain attention is a third faster than the fused one."""
    for _, part in network.parts():
        part.train()
    if network.unet.device.type == "cpu":
        processors = libraries.diffusers().models.attention_processor
        network.unet.set_attn_processor(processors.AttnProcessor())


def _unet(architecture: Architecture) -> Any:
    top = "CrossAttn{}Block2D" if architecture.top_attention else "{}Block2D"
    return libraries.diffusers().UNet2DConditionModel(
        sample_size=32,
        flip_sin_to_cos=True,
        freq_shift=0,
        down_block_types=(top.format("Down"), *("CrossAttnDownBlock2D",) * 2),
        up_block_types=(*("CrossAttnUpBlock2D",) * 2, top.format("Up")),
        block_out_channels=architecture.widths,
        layers_per_block=1,
        norm_num_groups=4,
        cross_attention_dim=sum(architecture.text_widths),
        attention_head_dim=architecture.heads,
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=TIME_WIDTH,
        projection_class_embeddings_input_dim=6 * TIME_WIDTH + architecture.text_widths[1],
    )


def _text_encoders(architecture: Architecture, vocabulary: int) -> tuple[Any, Any]:
    transformers = libraries.transformers()
    kinds = (transformers.CLIPTextModel, transformers.CLIPTextModelWithProjection)
    sizes = zip(architecture.text_widths, architecture.text_layers, strict=True)
    # The padding ids of `vocabulary`: the end token, and "!" which is the first.
    extras = zip(("quick_gelu", "gelu"), (vocabulary - 1, 0), strict=True)
    one, two = (
        kind(
            transformers.CLIPTextConfig(
                vocab_size=vocabulary,
                hidden_size=width,
                intermediate_size=2 * width,
                num_hidden_layers=layers,
                num_attention_heads=4,
                max_position_embeddings=77,
                projection_dim=width,
                hidden_act=activation,
                pad_token_id=padding,
                bos_token_id=vocabulary - 2,
                eos_token_id=vocabulary - 1,
            )
        )
        for kind, (width, layers), (activation, padding) in zip(kinds, sizes, extras, strict=True)
    )
    return one, two


@torch.no_grad()
def _initialise(network: Network) -> None:
    """Residual branches begin at zero (Fixup, arXiv:1901.09321; Peebles and Xie, arXiv:2212.09748).

    `hidden_states[-2]` skips the last norm, so embeddings with CLIP's deviation of 0.02 would
    reach the UNet far too small.
    """
    silence(network.unet.modules())
    network.unet.conv_out.weight.zero_()
    network.unet.conv_out.bias.zero_()
    for encoder in (network.text_encoder, network.text_encoder_2):
        for name, module in encoder.named_modules():
            if name.endswith("token_embedding"):
                module.weight.normal_(0, 0.6)
            elif name.endswith("position_embedding"):
                module.weight.normal_(0, 0.15)


@torch.no_grad()
def silence(modules: Iterable[nn.Module]) -> None:
    """Zero the last layer of every residual branch among the modules."""
    for module in modules:
        kind = type(module).__name__
        last: Any = None
        if kind == "ResnetBlock2D":
            last = module.conv2
        elif kind == "Transformer2DModel":
            last = module.proj_out
        if last is not None:
            last.weight.zero_()
            last.bias.zero_()
