from __future__ import annotations

import torch

from daemon.embedded.recipe.muon import Muon, optimizers, orthogonal
from daemon.embedded.recipe.network import new_network
from tests.daemon.embedded.conftest import TINY


def test_an_update_is_nearly_orthogonal_whatever_its_form() -> None:
    for rows, columns in ((8, 40), (40, 8), (16, 16)):
        matrices = torch.randn(3, rows, columns, generator=torch.Generator().manual_seed(0))
        values = torch.linalg.svdvals(orthogonal(matrices).float())
        assert values.max() < 1.4
        assert values.median() > 0.6


def test_it_finds_the_least_squares_solution() -> None:
    generator = torch.Generator().manual_seed(0)
    wanted = torch.randn(4, 6, generator=generator)
    weight = torch.nn.Parameter(torch.zeros(4, 6))
    optimizer = Muon([weight], lr=0.05, weight_decay=0.0)
    for step in range(300):
        optimizer.param_groups[0]["lr"] = 0.3 * (1 - step / 300)
        optimizer.zero_grad()
        (weight - wanted).square().sum().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert (weight - wanted).abs().max() < 0.1


def test_every_weight_is_learned_by_exactly_one_optimizer() -> None:
    parameters = new_network(TINY, 100).parameters()
    groups = [group for one in optimizers(parameters, 1e-3) for group in one.param_groups]
    learned = [id(parameter) for group in groups for parameter in group["params"]]
    assert sorted(learned) == sorted(map(id, parameters.values()))
