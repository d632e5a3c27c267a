"""A small network that tells the twenty figures apart, trained on drawn pictures alone."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from random import Random

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFilter
from torch import Tensor, nn

from daemon.embedded.recipe.brush import Brush
from daemon.embedded.recipe.palette import PALETTE, varied
from daemon.embedded.recipe.subjects import FIGURES

SIDE_PX = 64
NAMES = list(FIGURES)


class Classifier(nn.Module):
    """Figures in pictures of (batch, 3, 64, 64), values -1 to 1, to logits (batch, 20)."""

    def __init__(self) -> None:
        super().__init__()
        widths = (3, 24, 48, 96)
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [nn.Conv2d(before, after, 3, 2, 1), nn.BatchNorm2d(after), nn.ReLU()]
            layers += [nn.Conv2d(after, after, 3, 1, 1), nn.BatchNorm2d(after), nn.ReLU()]
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(widths[-1] * 16, len(NAMES))

    def forward(self, pictures: Tensor) -> Tensor:
        seen: Tensor = nn.functional.adaptive_max_pool2d(self.body(pictures), 4)
        logits: Tensor = self.head(seen.flatten(1))
        return logits

    @torch.inference_mode()
    def names(self, pictures: Sequence[Image.Image]) -> list[str]:
        """The figure in each picture of any size."""
        self.eval()
        batch = torch.stack([_tensor(picture) for picture in pictures])
        return [NAMES[int(index)] for index in self(batch).argmax(1)]


def trained_classifier(steps: int = 700, seed: int = 0, drawn: int = 5000) -> Classifier:
    """A classifier trained on figures in random colours, sizes and places, blurred and noisy."""
    rng = Random(f"classifier/{seed}")
    labels = torch.tensor([rng.randrange(len(NAMES)) for _ in range(drawn)])
    pictures = torch.stack([_tensor(_drawn(rng, NAMES[int(label)])) for label in labels])
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = Classifier()
        optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=0.02)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps)
        for _ in range(steps):
            chosen = torch.randint(0, drawn, (64,))
            batch = pictures[chosen] + 0.1 * torch.rand(64, 1, 1, 1) * torch.randn(64, 3, 64, 64)
            loss = nn.functional.cross_entropy(network(batch), labels[chosen], label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    return network.eval()


def _drawn(rng: Random, name: str) -> Image.Image:
    behind, colour = rng.sample(list(PALETTE.values()), 2)
    image = Image.new("RGB", (256, 256), varied(rng, behind))
    radius = 256 * rng.uniform(0.18, 0.42)
    reach = 128 - radius
    x, y = (128 + rng.uniform(-reach, reach) * 0.8 for _ in "xy")
    FIGURES[name](Brush(ImageDraw.Draw(image), x, y, radius, varied(rng, colour)))
    return image.filter(ImageFilter.GaussianBlur(rng.uniform(0, 4)))


def _tensor(picture: Image.Image) -> Tensor:
    small = picture.convert("RGB").resize((SIDE_PX, SIDE_PX), Image.Resampling.BOX)
    return torch.from_numpy(np.array(small)).permute(2, 0, 1).float() / 127.5 - 1
