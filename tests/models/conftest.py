"""One shelf of models for all tests here."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from tests.models.converters import narrow_converters
from tests.models.shelf import Shelf

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    return Shelf(tmp_path_factory.mktemp("shelf"))


@pytest.fixture(autouse=True)
def narrow() -> Iterator[None]:
    with narrow_converters():
        yield
