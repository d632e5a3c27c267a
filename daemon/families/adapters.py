"""LoRAs on a loaded pipeline: read, compared with the model, kept for the next job, switched.

Every file is turned into one spelling and one scale before diffusers sees it. Its own conversion
passes over modules that it does not find, and over alphas that differ between modules; and a
path that it cannot read as safetensors it reads as a pickle.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch

from daemon.errors import RenderError
from daemon.families.lora_targets import adapted_modules, load_adapter
from daemon.families.lora_weights import Layer, Modules, read_layers
from daemon.families.pipelines import LoraPipeline
from daemon.loras import LoraFile
from daemon.loras.files import Stamp
from spool.jobs import LoraRequest

_TEXT_ENCODERS = ("text_encoder", "text_encoder_2")


@dataclass(frozen=True, slots=True)
class Adapter:
    """A LoRA in the pipeline, under `name`; `modules` counts those that it changes in each of the
    pipeline's components. `sha256` is the file's, `a1111_hash` the one that A1111 knows it by."""

    name: str
    file: LoraFile
    sha256: str
    a1111_hash: str
    modules: dict[str, int]
    size_bytes: int

    def describe(self, lora: LoraRequest) -> dict[str, Any]:
        """What a job's record says of it."""
        return {
            "id": lora.id,
            "weight": lora.weight,
            "file": self.file.path.name,
            "sha256": self.sha256,
            "a1111_hash": self.a1111_hash,
            "modules": self.modules,
        }


class Adapters:
    """The LoRAs of one pipeline, of which at most `most` and `most_bytes` stay loaded.

    Modules come and go inside of `bare` only.
    A job may use more than that: what it uses is never let go. Nothing is ever fused into the
    model's own weights, since taking it out again leaves them changed in the last digits.
    """

    def __init__(
        self,
        pipeline: LoraPipeline,
        model: Mapping[str, Modules],
        dtype: torch.dtype,
        most: int = 8,
        most_bytes: int = 1 << 30,
        bare: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self._pipeline = pipeline
        self._model = model
        self._dtype = dtype
        self._most = most
        self._most_bytes = most_bytes
        self._bare = bare
        self._loaded: OrderedDict[Stamp, Adapter] = OrderedDict()
        self.text_state: tuple[tuple[str, float], ...] = ()
        """What is in force in the text encoders; embeddings made under another state are others."""

    def use(self, wanted: Sequence[tuple[LoraFile, float]]) -> list[Adapter]:
        """Put exactly these LoRAs in force, with these weights, and return them in their order.

        One of weight 0 is compared with the model, but stays out of its sums: the picture is that
        without it. Without any in force, the model computes as if it had never had one.
        Raises RenderError naming the file that is not for this model.
        """
        stamps = {file.stamp for file, _ in wanted}
        adapters = [self._adapter(file, keep=stamps) for file, _ in wanted]
        weights: dict[str, float] = {}
        for adapter, (_, weight) in zip(adapters, wanted, strict=True):
            weights[adapter.name] = weights.get(adapter.name, 0.0) + weight
        weights = {name: weight for name, weight in weights.items() if weight != 0}
        self._switch(weights)
        in_text = {a.name for a in adapters if any(part in a.modules for part in _TEXT_ENCODERS)}
        self.text_state = tuple(item for item in weights.items() if item[0] in in_text)
        return adapters

    def _switch(self, weights: dict[str, float]) -> None:
        if weights:
            self._pipeline.enable_lora()
            # Always: loading an adapter does not reliably put it in force, or others out of it.
            self._pipeline.set_adapters(list(weights), list(weights.values()))
        elif self._loaded:
            self._pipeline.disable_lora()

    def _adapter(self, file: LoraFile, keep: set[Stamp]) -> Adapter:
        if file.stamp not in self._loaded:
            data = _read(file)
            layers = read_layers(file, data, self._model)
            with self._bare():
                self._make_room(sum(layer.size_bytes(self._dtype) for layer in layers), keep)
                self._loaded[file.stamp] = self._load(file, data, layers)
        self._loaded.move_to_end(file.stamp)
        return self._loaded[file.stamp]

    def _make_room(self, size_bytes: int, keep: set[Stamp]) -> None:
        for stamp in [stamp for stamp in self._loaded if stamp not in keep]:
            held_bytes = sum(adapter.size_bytes for adapter in self._loaded.values())
            if len(self._loaded) < self._most and held_bytes + size_bytes <= self._most_bytes:
                return
            name = self._loaded.pop(stamp).name
            if all(adapter.name != name for adapter in self._loaded.values()):
                self._pipeline.delete_adapters(name)

    def _load(self, file: LoraFile, data: bytes, layers: list[Layer]) -> Adapter:
        sha256 = hashlib.sha256(data).hexdigest()
        # No dots, which peft splits at, and one length, so that none is the beginning of another.
        name = f"sha256_{sha256[:32]}"
        paths = _paths(layers)
        if all(adapter.name != name for adapter in self._loaded.values()):
            try:
                load_adapter(self._pipeline, name, file.path, self._tensors(layers))
                _check(file, paths, adapted_modules(self._pipeline, name))
            except BaseException:
                # Some of its modules may be in already; only without any is the state certain.
                self._loaded.clear()
                self._pipeline.unload_lora_weights()
                raise
        header_bytes = 8 + int.from_bytes(data[:8], "little")
        return Adapter(
            name=name,
            file=file,
            sha256=sha256,
            a1111_hash=hashlib.sha256(memoryview(data)[header_bytes:]).hexdigest()[:12],
            modules={part: len(modules) for part, modules in paths.items()},
            size_bytes=sum(layer.size_bytes(self._dtype) for layer in layers),
        )

    def _tensors(self, layers: list[Layer]) -> dict[str, torch.Tensor]:
        tensors: dict[str, torch.Tensor] = {}
        for layer in layers:
            tensors |= layer.tensors(self._dtype)
        return tensors


def _paths(layers: list[Layer]) -> dict[str, set[str]]:
    """The modules that the layers change, by component."""
    paths: dict[str, set[str]] = {}
    for layer in layers:
        paths.setdefault(layer.component, set()).add(layer.path)
    return paths


def _check(file: LoraFile, wanted: dict[str, set[str]], got: dict[str, set[str]]) -> None:
    """Compare what the file has with what got an adapter. Raises RenderError."""
    for component, paths in got.items():
        expected = wanted.get(component, set())
        if differing := paths ^ expected:
            raise RenderError(
                f"the LoRA {file.path} has {len(expected)} modules of {component}, and diffusers "
                f"applied it to {len(paths)}; they differ in {min(differing)}; send the job "
                "without it"
            )


def _read(file: LoraFile) -> bytes:
    """The file's content: what is hashed, checked and loaded is then the same."""
    try:
        return file.path.read_bytes()
    except OSError as error:
        raise RenderError(
            f"the LoRA {file.path} cannot be read ({error.strerror}); put it back or send the "
            "job without it"
        ) from None
