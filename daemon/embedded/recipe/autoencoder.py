"""The autoencoder's network, and a start from which it learns in minutes.

Pictures (batch, 3, h, w), values -1 to 1, to latents (batch, 4, h/8, w/8).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from daemon import libraries

WIDTHS = (16, 32, 64, 64)


def new_autoencoder() -> Any:
    """An `AutoencoderKL` of 0.94 million parameters that passes averaged colours through."""
    levels = len(WIDTHS)
    network = libraries.diffusers().AutoencoderKL(
        down_block_types=["DownEncoderBlock2D"] * levels,
        up_block_types=["UpDecoderBlock2D"] * levels,
        block_out_channels=WIDTHS,
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=1,
        sample_size=256,
        mid_block_add_attention=False,
        scaling_factor=1.0,
        force_upcast=False,
    )
    start_as_identity(network)
    return network


@torch.no_grad()
def start_as_identity(network: Any) -> None:
    """Small residuals, averaging down-samplers, copying up-samplers, colours in signed pairs.

    Every block begins near the identity, as Fixup's do (Zhang et al. 2019, arXiv:1901.09321).
    Without it training stays on a plateau of grey pictures.
    """
    for module in network.modules():
        kind = type(module).__name__
        if kind == "ResnetBlock2D":
            _quiet_residual(module)
        elif kind == "Downsample2D":
            _pass_through(module.conv, slice(0, 2), 0.25)
        elif kind == "Upsample2D":
            _pass_through(module.conv, slice(1, 2), 1.0)
    _start_encoder_ends(network)
    _start_decoder_ends(network)


@torch.no_grad()
def whiten(network: Any, latents: Tensor, target: float = 1.0) -> None:
    """Fold mean and deviation of the latents' channels into the convolutions next to them.

    After it, latents like `latents` (batch, 4, h, w) have mean 0 and deviation `target` a channel,
    and decode as before: scaling_factor stays 1.
    """
    mean, deviation = latents.mean((0, 2, 3)), latents.std((0, 2, 3)) / target
    quant, post = network.quant_conv, network.post_quant_conv
    quant.weight[:4] /= deviation.view(4, 1, 1, 1)
    quant.bias[:4] = (quant.bias[:4] - mean) / deviation
    quant.bias[4:] -= 2 * deviation.log()
    post.bias += post.weight[:, :, 0, 0] @ mean
    post.weight *= deviation.view(1, 4, 1, 1)


def _quiet_residual(block: Any) -> None:
    block.conv2.weight.mul_(0.1)
    block.conv2.bias.zero_()
    if block.conv_shortcut is not None:
        weight = block.conv_shortcut.weight
        weight.mul_(0.1)
        for channel in range(weight.shape[0]):
            weight[channel, channel % weight.shape[1], 0, 0] += 1
        block.conv_shortcut.bias.zero_()


def _pass_through(conv: nn.Conv2d, taps: slice, share: float) -> None:
    conv.weight.mul_(0.3)
    for channel in range(conv.weight.shape[0]):
        conv.weight[channel, channel, taps, taps] += share
    assert conv.bias is not None
    conv.bias.zero_()


def _start_encoder_ends(network: Any) -> None:
    """Each colour as itself and negated, since SiLU(x) - SiLU(-x) = x."""
    first = network.encoder.conv_in
    first.weight.mul_(0.5)
    first.bias.zero_()
    for channel in range(8):
        sign = 1.0 if channel % 2 == 0 else -1.0
        if channel < 6:
            first.weight[channel, channel // 2, 1, 1] += sign
        else:
            first.weight[channel].zero_()
            first.bias[channel] = sign
    last = network.encoder.conv_out
    last.weight.mul_(0.3)
    for colour in range(3):
        last.weight[colour, 2 * colour, 1, 1] += 1
        last.weight[colour, 2 * colour + 1, 1, 1] -= 1
    for conv in (network.quant_conv, network.post_quant_conv):
        conv.weight.mul_(0.1)
        conv.bias.zero_()
        for channel in range(4):
            conv.weight[channel, channel, 0, 0] += 1
    network.quant_conv.weight[4:] *= 0.1
    network.quant_conv.bias[4:] -= 4


def _start_decoder_ends(network: Any) -> None:
    first, last = network.decoder.conv_in, network.decoder.conv_out
    first.weight.mul_(0.5)
    first.bias.zero_()
    for channel in range(16):
        first.weight[channel, channel // 2 % 4, 1, 1] += 1.0 if channel % 2 == 0 else -1.0
    first.bias[6], first.bias[7] = 1, -1
    last.weight.mul_(0.3)
    last.bias.zero_()
    for colour in range(3):
        last.weight[colour, 2 * colour, 1, 1] += 0.5
        last.weight[colour, 2 * colour + 1, 1, 1] -= 0.5
