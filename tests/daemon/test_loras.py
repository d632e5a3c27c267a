"""LoRAs on a loaded SDXL model: applied exactly, checked, forgotten without a trace."""

from __future__ import annotations

import gc
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from daemon.errors import RenderError
from daemon.families import Model, ModelSpec, load
from spool.jobs import LoraRequest
from tests.daemon import tiny_loras
from tests.daemon.test_sdxl import bare_picture, ignore, job
from tests.daemon.tiny_loras import Lora, draw_lora, merge, save_lora
from tests.daemon.tiny_models import open_bare

TE_ONLY = ("text_encoder", "text_encoder_2")


@pytest.fixture(scope="module")
def bare(tiny_spec: ModelSpec) -> Any:
    """The tiny pipeline, to draw LoRAs for; it never gets one."""
    return open_bare(tiny_spec.weights)


@pytest.fixture(scope="module")
def spec(tiny_spec: ModelSpec, tmp_path_factory: pytest.TempPathFactory) -> ModelSpec:
    return replace(tiny_spec, loras=tmp_path_factory.mktemp("loras"))


@pytest.fixture(scope="module")
def model(spec: ModelSpec) -> Model:
    return load(spec)


def add(spec: ModelSpec, name: str, tensors: dict[str, torch.Tensor], **metadata: str) -> str:
    assert spec.loras is not None
    save_lora(spec.loras / f"{name}.safetensors", tensors, metadata or None)
    return name


def with_loras(*weights: tuple[str, float], **changes: Any) -> Any:
    loras = tuple(LoraRequest(id=name, weight=weight) for name, weight in weights)
    return job(loras=loras, **{"steps": 2, **changes})


def latents(model: Model, *weights: tuple[str, float], **changes: Any) -> torch.Tensor:
    return model.denoise(with_loras(*weights, **changes), 7, ignore)


def merged(spec: ModelSpec, *loras: tuple[Lora, float]) -> torch.Tensor:
    """The latents of diffusers alone, the LoRAs added to its weights."""
    pipeline = open_bare(spec.weights)
    for lora, weight in loras:
        merge(pipeline, lora, weight)
    wanted = with_loras()
    result: torch.Tensor = pipeline(
        wanted.prompt,
        width=wanted.width,
        height=wanted.height,
        num_inference_steps=wanted.steps,
        guidance_scale=wanted.guidance_scale,
        generator=torch.Generator("cpu").manual_seed(7),
        output_type="latent",
        return_dict=False,
    )[0]
    return result


@pytest.mark.parametrize(
    "how",
    [
        {"alphas": (4.0,)},
        {"alphas": (1.0,)},
        {"alphas": (None,), "ranks": (2, 4, 8)},
        {"alphas": (4.0, 1.0, 0.5, None), "ranks": (4, 2, 8)},
        {"wanted": lambda path: True},
        {"components": ("unet",)},
        {"components": TE_ONLY},
        {"components": ("text_encoder_2",), "wanted": lambda path: "mlp" in path},
    ],
    ids=str,
)
def test_a_lora_does_what_adding_it_to_the_weights_does(
    spec: ModelSpec, model: Model, bare: Any, how: dict[str, Any]
) -> None:
    lora = draw_lora(bare, 1, **how)
    name = add(spec, "plain", tiny_loras.kohya(lora))
    expected = merged(spec, (lora, 0.7))
    assert (expected - latents(model)).abs().max() > 0.01
    torch.testing.assert_close(latents(model, (name, 0.7)), expected, atol=2e-4, rtol=1e-3)


@pytest.mark.parametrize("write", [tiny_loras.stability, tiny_loras.kohya])
def test_every_spelling_gives_the_same_picture(
    spec: ModelSpec, model: Model, bare: Any, write: Callable[[Lora], dict[str, torch.Tensor]]
) -> None:
    lora = draw_lora(bare, 2, wanted=lambda path: True)
    add(spec, "a", tiny_loras.diffusers(lora))
    add(spec, "b", write(lora))
    assert torch.equal(latents(model, ("a", 0.8)), latents(model, ("b", 0.8)))


def test_the_oldest_spelling_gives_the_same_picture(
    spec: ModelSpec, model: Model, bare: Any
) -> None:
    lora = draw_lora(bare, 3, wanted=lambda path: "attn" in path)
    add(spec, "a", tiny_loras.diffusers(lora))
    add(spec, "b", tiny_loras.old_diffusers(lora))
    assert torch.equal(latents(model, ("a", 0.8)), latents(model, ("b", 0.8)))


@pytest.mark.parametrize(
    ("settings", "scale"),
    [
        ({"r": 4, "lora_alpha": 2}, 0.5),
        ({"r": 4, "lora_alpha": 2, "use_rslora": True}, 1.0),
        ({"r": 4}, 1.0),
    ],
    ids=str,
)
def test_the_scale_that_diffusers_keeps_in_the_metadata_is_obeyed(
    spec: ModelSpec, model: Model, bare: Any, settings: dict[str, Any], scale: float
) -> None:
    lora = draw_lora(bare, 4, alphas=(None,), components=("unet",))
    kept = json.dumps({f"unet.{name}": value for name, value in settings.items()})
    add(spec, "kept", tiny_loras.diffusers(lora), lora_adapter_metadata=kept)
    expected = merged(spec, (lora, scale))
    torch.testing.assert_close(latents(model, ("kept", 1.0)), expected, atol=2e-4, rtol=1e-3)


def test_one_alpha_of_many_in_the_metadata_is_obeyed(
    spec: ModelSpec, model: Model, bare: Any
) -> None:
    lora = draw_lora(bare, 5, alphas=(None,), components=("unet",))
    kept = json.dumps({"unet.lora_alpha": 4, "unet.alpha_pattern": {lora[0].path: 1}})
    add(spec, "kept", tiny_loras.diffusers(lora), lora_adapter_metadata=kept)
    lora[0] = replace(lora[0], alpha=1.0)
    torch.testing.assert_close(
        latents(model, ("kept", 1.0)), merged(spec, (lora, 1.0)), atol=2e-4, rtol=1e-3
    )


def test_without_a_lora_the_picture_is_what_it_was_before(
    spec: ModelSpec, model: Model, bare: Any
) -> None:
    add(spec, "all", tiny_loras.kohya(draw_lora(bare, 6, wanted=lambda path: True)))
    fresh = load(spec)
    before = latents(fresh)
    changed = latents(fresh, ("all", 1.0))
    assert not torch.equal(changed, before)
    assert torch.equal(latents(fresh), before)
    assert torch.equal(latents(fresh, ("all", 1.0)), changed)
    assert torch.equal(latents(fresh, ("all", 0.0)), before)
    assert torch.equal(latents(fresh), before)
    config = bare.scheduler.config
    expected = bare_picture(bare, config, with_loras())
    assert fresh.decode(latents(fresh)).tobytes() == expected.tobytes()


def test_several_at_once_add_up_and_negative_weights_take_away(
    spec: ModelSpec, model: Model, bare: Any
) -> None:
    first, second = draw_lora(bare, 7), draw_lora(bare, 8, components=("unet",), ranks=(2,))
    add(spec, "first", tiny_loras.kohya(first))
    add(spec, "second", tiny_loras.diffusers(second))
    together = latents(model, ("first", 0.5), ("second", -0.7))
    torch.testing.assert_close(
        together, merged(spec, (first, 0.5), (second, -0.7)), atol=2e-4, rtol=1e-3
    )
    assert torch.equal(
        latents(model, ("first", 0.5), ("second", 0.0)), latents(model, ("first", 0.5))
    )
    assert torch.equal(latents(model, ("first", 0.5), ("second", -0.7)), together)


def test_one_lora_named_twice_counts_twice(spec: ModelSpec, model: Model, bare: Any) -> None:
    add(spec, "twice", tiny_loras.kohya(draw_lora(bare, 9)))
    doubled = latents(model, ("twice", 0.25), ("twice", 0.5))
    assert torch.equal(doubled, latents(model, ("twice", 0.75)))


def test_a_lora_of_the_text_encoders_alone_never_meets_embeddings_of_another_state(
    spec: ModelSpec, model: Model, bare: Any
) -> None:
    add(spec, "text", tiny_loras.kohya(draw_lora(bare, 10, components=TE_ONLY)))
    without, half, whole = (latents(model, ("text", weight)) for weight in (0.0, 0.5, 1.0))
    assert not torch.equal(half, without)
    assert not torch.equal(half, whole)
    for weight, expected in ((1.0, whole), (0.0, without), (0.5, half)):
        assert torch.equal(latents(model, ("text", weight)), expected)


def test_a_dora_is_applied_with_its_magnitudes(spec: ModelSpec, model: Model, bare: Any) -> None:
    lora = draw_lora(bare, 11, components=("unet",), alphas=(None,))
    tensors = tiny_loras.diffusers(lora)
    pipeline = open_bare(spec.weights)
    for pair in lora:
        module = pipeline.unet.get_submodule(pair.path)
        magnitude = torch.linspace(0.5, 2, module.weight.shape[0])
        tensors[f"unet.{pair.path}.lora_magnitude_vector"] = magnitude
        whole = module.weight.data + pair.up @ pair.down
        module.weight.data = whole * (magnitude / whole.norm(dim=1))[:, None]
    add(spec, "dora", tensors)
    wanted = with_loras()
    expected = pipeline(
        wanted.prompt,
        width=64,
        height=64,
        num_inference_steps=2,
        guidance_scale=wanted.guidance_scale,
        generator=torch.Generator("cpu").manual_seed(7),
        output_type="latent",
        return_dict=False,
    )[0]
    torch.testing.assert_close(latents(model, ("dora", 1.0)), expected, atol=1e-3, rtol=1e-3)
    assert torch.equal(latents(model, ("dora", 0.0)), latents(model))


def half_strange(lora: Lora) -> dict[str, torch.Tensor]:
    return {
        name.replace("attn2_to_k", "attn2_to_x"): tensor
        for name, tensor in tiny_loras.kohya(lora).items()
    }


def too_wide(lora: Lora) -> dict[str, torch.Tensor]:
    return tiny_loras.kohya([replace(pair, down=pair.down.repeat(1, 2)) for pair in lora])


def not_finite(lora: Lora) -> dict[str, torch.Tensor]:
    return tiny_loras.kohya([replace(lora[0], up=lora[0].up / 0), *lora[1:]])


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (half_strange, r"not for this model: \d+ of its \d+ keys name nothing in it, such as '.*"),
        (too_wide, r"not for this model: its pair for \w+\.\S+ has the shapes .* for a weight of"),
        (not_finite, r"no finite numbers for unet\.\S+;"),
    ],
)
def test_a_file_that_fits_in_part_fails_the_job_and_nothing_else(
    spec: ModelSpec, model: Model, bare: Any, spoil: Any, reason: str
) -> None:
    lora = draw_lora(bare, 12)
    name = add(spec, spoil.__name__, spoil(lora))
    good = add(spec, "good", tiny_loras.kohya(lora))
    before, expected = latents(model), latents(model, (good, 1.0))
    with pytest.raises(RenderError, match=rf"{name}\.safetensors (is|has) {reason}"):
        latents(model, (good, 1.0), (name, 1.0))
    assert torch.equal(latents(model, (good, 1.0)), expected)
    assert torch.equal(latents(model), before)


def test_what_diffusers_leaves_out_fails_the_job(
    spec: ModelSpec, model: Model, bare: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = add(spec, "partly", tiny_loras.kohya(draw_lora(bare, 13)))
    before = latents(model)
    pipeline = model._pipeline  # type: ignore[attr-defined]
    load_all = pipeline.load_lora_weights

    def load_some(tensors: dict[str, torch.Tensor], **kwargs: Any) -> None:
        load_all({n: t for n, t in tensors.items() if "attn2" not in n}, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "load_lora_weights", load_some)
        with pytest.raises(
            RenderError, match=r"has 32 modules of unet, and diffusers applied it to 16;"
        ):
            latents(model, (name, 1.0))
    assert torch.equal(latents(model), before)
    assert not torch.equal(latents(model, (name, 1.0)), before)


def test_a_file_that_is_gone_or_damaged_fails_the_job_with_a_sentence(
    spec: ModelSpec, model: Model, bare: Any
) -> None:
    assert spec.loras is not None
    name = add(spec, "leaving", tiny_loras.kohya(draw_lora(bare, 14)))
    path = spec.loras / "leaving.safetensors"
    with_it = latents(model, (name, 1.0))
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    with pytest.raises(RenderError, match=r"LoRA 'leaving' is no longer in .* \(it is cut short"):
        latents(model, (name, 1.0))
    path.unlink()
    with pytest.raises(RenderError, match=r"LoRA 'leaving' is no longer in .*its file is gone"):
        latents(model, (name, 1.0))
    path.write_bytes(whole)
    assert torch.equal(latents(model, (name, 1.0)), with_it)


def test_a_file_written_anew_is_loaded_anew(spec: ModelSpec, model: Model, bare: Any) -> None:
    name = add(spec, "changing", tiny_loras.kohya(draw_lora(bare, 15)))
    before = latents(model, (name, 1.0))
    other = draw_lora(bare, 16)
    add(spec, "changing", tiny_loras.kohya(other))
    after = latents(model, (name, 1.0))
    assert not torch.equal(after, before)
    torch.testing.assert_close(after, merged(spec, (other, 1.0)), atol=2e-4, rtol=1e-3)
    assert spec.loras is not None
    os.utime(spec.loras / "changing.safetensors", ns=(0, 0))
    assert torch.equal(latents(model, (name, 1.0)), after), "a touched file is the same LoRA"


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_in_half_precision_a_lora_is_held_in_it_and_leaves_no_trace(
    spec: ModelSpec, bare: Any, dtype: str
) -> None:
    name = add(spec, "half", tiny_loras.kohya(draw_lora(bare, 17, alphas=(3.0,))))
    model = load(replace(spec, dtype=dtype))
    before = latents(model)
    assert not torch.equal(latents(model, (name, 0.5)), before)
    assert torch.equal(latents(model), before)
    (adapter,) = model._loras._adapters._loaded.values()  # type: ignore[attr-defined]
    pipeline = model._pipeline  # type: ignore[attr-defined]
    held = [
        parameter
        for part in (pipeline.unet, pipeline.text_encoder, pipeline.text_encoder_2)
        for path, parameter in part.named_parameters()
        if "lora_" in path
    ]
    assert {parameter.dtype for parameter in held} == {getattr(torch, dtype)}
    assert sum(parameter.nbytes for parameter in held) == adapter.size_bytes


def test_a_hundred_switches_take_no_more_memory_than_ten(
    tiny_spec: ModelSpec, bare: Any, tmp_path: Path
) -> None:
    spec = replace(tiny_spec, loras=tmp_path)
    for number in range(12):
        lora = draw_lora(bare, number, wanted=lambda path: path.endswith(("attn1.to_q", "q_proj")))
        add(spec, f"l{number}", tiny_loras.kohya(lora))
    model = load(spec)
    before = latents(model, steps=1)

    def switch(number: int) -> tuple[int, int]:
        latents(model, (f"l{number % 12}", 1.0), steps=1)
        parts = model._pipeline.unet, model._pipeline.text_encoder  # type: ignore[attr-defined]
        return (
            sum(1 for part in parts for _ in part.parameters()),
            len(model._loras._adapters._loaded),  # type: ignore[attr-defined]
        )

    counts = [switch(number) for number in range(20)]
    gc.collect()
    rss_bytes = psutil.Process().memory_info().rss
    counts += [switch(number) for number in range(20, 120)]
    gc.collect()
    assert len(set(counts[10:])) == 1, "parameters pile up"
    assert counts[-1][1] == 8
    assert psutil.Process().memory_info().rss - rss_bytes < 30 << 20
    assert torch.equal(latents(model, steps=1), before)


def test_what_a_job_uses_stays_loaded_however_much_it_is(
    spec: ModelSpec, model: Model, bare: Any
) -> None:
    names = [
        add(spec, f"big{number}", tiny_loras.kohya(draw_lora(bare, 20 + number)))
        for number in range(3)
    ]
    weights = [(name, 0.5) for name in names]
    expected = latents(model, *weights)
    small = load(spec)
    adapters = small._loras._adapters  # type: ignore[attr-defined]
    adapters._most, adapters._most_bytes = 2, 1000
    assert torch.equal(latents(small, *weights), expected)
    assert len(adapters._loaded) == 3
    latents(small, *weights[:1])
    latents(small, (add(spec, "next", tiny_loras.kohya(draw_lora(bare, 30))), 1.0))
    assert [adapter.file.path.stem for adapter in adapters._loaded.values()] == ["next"]
    assert torch.equal(latents(small, *weights), expected)
