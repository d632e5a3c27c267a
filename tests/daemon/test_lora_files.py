"""What a folder of LoRAs holds: kinds, ids and triggers."""

from __future__ import annotations

import hashlib
import json
import os
import struct
from pathlib import Path
from typing import Any

import pytest

from daemon import safetensors_header
from daemon.errors import RenderError
from daemon.loras import LoraFolder, files
from spool.settings import LoraSettings

DOWN = "down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k"
SDXL = {f"lora_te2_text_model_encoder_layers_0_self_attn_{name}": (8, 8) for name in ("q_proj",)}


def pairs(modules: dict[str, tuple[int, int]]) -> dict[str, tuple[int, ...]]:
    """The shapes of a LoRA of rank 1 for modules of these shapes (out, in)."""
    shapes: dict[str, tuple[int, ...]] = {}
    for module, (out, inner) in modules.items():
        shapes[f"{module}.lora_down.weight"] = (1, inner)
        shapes[f"{module}.lora_up.weight"] = (out, 1)
    return shapes


def write(
    path: Path,
    shapes: dict[str, tuple[int, ...]] | None = None,
    metadata: dict[str, Any] | None = None,
    fill: bytes = b"\0",
) -> Path:
    """A safetensors file of these shapes, in half precision, all of one byte."""
    entries: dict[str, Any] = {"__metadata__": metadata or {}}
    end = 0
    for name, shape in (pairs(SDXL) if shapes is None else shapes).items():
        begin, end = end, end + 2 * shape_size(shape)
        entries[name] = {"dtype": "F16", "shape": shape, "data_offsets": [begin, end]}
    encoded = json.dumps(entries).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack("<Q", len(encoded)) + encoded + fill * end)
    return path


def shape_size(shape: tuple[int, ...]) -> int:
    size = 1
    for side in shape:
        size *= side
    return size


def ids_in(folder: Path) -> list[str]:
    return [lora["id"] for lora in LoraFolder(folder, "sdxl").available()]


def reasons_in(folder: Path, family: str = "sdxl") -> dict[str, str]:
    return {refused.path.name: refused.reason for refused in LoraFolder(folder, family).refused}


def words_in(folder: Path) -> list[str]:
    (lora,) = LoraFolder(folder, "sdxl").available()
    words: list[str] = lora["trigger_words"]
    return words


def test_a_lora_is_listed_with_what_the_api_promises_and_nothing_else(tmp_path: Path) -> None:
    write(tmp_path / "sub" / "ink.safetensors", metadata={"modelspec.title": "Ink wash"})
    assert LoraFolder(tmp_path, "sdxl").available() == (
        {
            "id": "ink",
            "name": "Ink wash",
            "trigger_words": [],
            "weight": 1.0,
            "trigger_weight": 0.5,
        },
    )


FAMILIES: dict[str, list[dict[str, tuple[int, ...]]]] = {
    "sdxl": [
        pairs({"lora_te2_text_model_encoder_layers_0_mlp_fc1": (8, 8)}),
        pairs({"lora_te1_text_model_encoder_layers_0_mlp_fc1": (8, 8)}),
        pairs({"lora_unet_input_blocks_4_1_transformer_blocks_1_attn1_to_q": (8, 8)}),
        pairs({"lora_unet_input_blocks_4_1_proj_in": (8, 8)}),
        pairs({"lora_unet_down_blocks_2_attentions_0_transformer_blocks_9_attn1_to_q": (8, 8)}),
        pairs({f"lora_unet_{DOWN}": (8, 2048)}),
        pairs({f"lora_unet_{DOWN}": (8, 64)}),
        {
            "unet.mid_block.attentions.0.transformer_blocks.0.attn2.to_k.lora_A.weight": (1, 2048),
            "unet.mid_block.attentions.0.transformer_blocks.0.attn2.to_k.lora_B.weight": (8, 1),
        },
        {
            "unet.mid_block.attentions.0.transformer_blocks.0.attn2.processor.to_k_lora"
            ".down.weight": (1, 2048),
            "unet.mid_block.attentions.0.transformer_blocks.0.attn2.processor.to_k_lora"
            ".up.weight": (8, 1),
        },
    ],
    "sd1": [
        pairs({f"lora_unet_{DOWN}": (8, 768)}),
        pairs({"lora_te_text_model_encoder_layers_0_mlp_fc1": (8, 8)}),
        pairs({"lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q": (8, 8)}),
    ],
    "sd2": [pairs({f"lora_unet_{DOWN}": (8, 1024)})],
    "sdxl-refiner": [pairs({f"lora_unet_{DOWN}": (8, 1280)})],
    "flux": [
        pairs({"lora_unet_double_blocks_0_img_mod_lin": (8, 8)}),
        pairs({"lora_unet_single_blocks_0_modulation_lin": (8, 8)}),
        {
            "transformer.single_transformer_blocks.0.norm.linear.lora_A.weight": (1, 8),
            "transformer.single_transformer_blocks.0.norm.linear.lora_B.weight": (8, 1),
        },
        {
            "diffusion_model.time_in.in_layer.lora_A.weight": (1, 8),
            "diffusion_model.time_in.in_layer.lora_B.weight": (8, 1),
            "diffusion_model.double_blocks.0.img_attn.proj.lora_A.weight": (1, 8),
            "diffusion_model.double_blocks.0.img_attn.proj.lora_B.weight": (8, 1),
        },
    ],
    "chroma": [
        pairs({"lora_unet_distilled_guidance_layer_in_proj": (8, 8)}),
    ],
    "zimage": [
        {
            "diffusion_model.layers.0.attention.to_q.lora_A.weight": (1, 8),
            "diffusion_model.layers.0.attention.to_q.lora_B.weight": (8, 1),
        },
        pairs({"lora_unet_noise_refiner_0_attention_qkv": (8, 8)}),
    ],
}


@pytest.mark.parametrize("family", FAMILIES)
def test_the_family_is_told_by_names_and_then_by_shapes(family: str, tmp_path: Path) -> None:
    for number, shapes in enumerate(FAMILIES[family]):
        write(tmp_path / f"{number}.safetensors", shapes)
    names = [str(number) for number in range(len(FAMILIES[family]))]
    assert [lora["id"] for lora in LoraFolder(tmp_path, family).available()] == names
    others = reasons_in(tmp_path, "other")
    assert set(others.values()) == {f"it is for {family}, and the model is of other"}


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        (f"lora_unet_{DOWN}.hada_w1_a", "LoHa"),
        (f"lora_unet_{DOWN}.lokr_w1", "LoKr"),
        (f"lora_unet_{DOWN}.dora_scale", "leave its magnitudes out"),
        (f"lora_unet_{DOWN}.diff", "full differences"),
        (f"lora_unet_{DOWN}.lora_mid.weight", "middle matrix"),
        (f"lora_unet_{DOWN}.oft_blocks", "OFT"),
        ("bundle_emb.word.string_to_param.*", "embeddings"),
        ("lora_unet_down_blocks_1_strange.lora_left.weight", "1 of its 3 keys are spelled in no"),
        (f"lora_unet_{DOWN}.lora_up.weight", "1 of its 2 modules have but half of a pair"),
    ],
)
def test_what_we_cannot_apply_is_refused_with_the_reason(
    key: str, reason: str, tmp_path: Path
) -> None:
    write(tmp_path / "x.safetensors", {**pairs(SDXL), key: (8, 8)})
    assert ids_in(tmp_path) == []
    assert reason in reasons_in(tmp_path)["x.safetensors"]


def test_a_checkpoint_is_no_lora(tmp_path: Path) -> None:
    write(tmp_path / "x.safetensors", {"model.diffusion_model.out.2.weight": (8, 8)})
    assert reasons_in(tmp_path) == {"x.safetensors": "it is no LoRA at all, which is not supported"}


def test_the_id_is_civitai_s_where_there_is_one(tmp_path: Path) -> None:
    write(tmp_path / "a" / "civitai_11.safetensors")
    write(tmp_path / "b" / "side.safetensors")
    (tmp_path / "b" / "side.civitai.info").write_text('{"id": 22, "modelId": 5}')
    write(tmp_path / "c" / "json.safetensors")
    (tmp_path / "c" / "json.json").write_text('{"id": 5, "versionId": 33}')
    write(tmp_path / "d" / "model.safetensors")
    versions = [
        {"id": 43, "files": [{"name": "other.safetensors"}]},
        {"id": 44, "files": [{"name": "model.safetensors"}], "trainedWords": ["yes"]},
    ]
    (tmp_path / "d" / "model.json").write_text(json.dumps({"id": 5, "modelVersions": versions}))
    urn = {"modelspec.air": "urn:air:sdxl:lora:civitai:5@55"}
    write(tmp_path / "e" / "meta.safetensors", metadata=urn)
    write(tmp_path / "f" / "civitai_x.safetensors")
    assert ids_in(tmp_path) == [
        "civitai_11",
        "civitai_22",
        "civitai_33",
        "civitai_44",
        "civitai_55",
        "civitai_x",
    ]


def test_of_two_with_one_id_the_first_by_path_keeps_it(tmp_path: Path) -> None:
    write(tmp_path / "b" / "ink.safetensors", fill=b"b")
    second = tmp_path / "b" / "ink.safetensors"
    write(tmp_path / "a" / "ink.safetensors", fill=b"a")
    digest = hashlib.sha256(second.read_bytes()).hexdigest()[:8]
    assert ids_in(tmp_path) == ["ink", f"ink~{digest}"]
    (report,) = LoraFolder(tmp_path, "sdxl").reports()
    assert report == f"LoRA {second} is ink~{digest}: {tmp_path}/a/ink.safetensors is ink"


def test_a_second_copy_of_the_same_is_refused(tmp_path: Path) -> None:
    for folder, fill in {"a": b"a", "b": b"z", "c": b"z"}.items():
        write(tmp_path / folder / "ink.safetensors", fill=fill)
    assert len(ids_in(tmp_path)) == 2
    assert reasons_in(tmp_path) == {
        "ink.safetensors": f"it is a copy of {tmp_path}/b/ink.safetensors"
    }


def test_nothing_is_hashed_without_need(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("hashed")

    monkeypatch.setattr("daemon.loras.folder.digest_of", fail)
    write(tmp_path / "a.safetensors")
    write(tmp_path / "b.safetensors")
    assert ids_in(tmp_path) == ["a", "b"]


def test_triggers_come_from_the_configuration_then_the_side_file_then_the_metadata(
    tmp_path: Path,
) -> None:
    tags = {"ss_tag_frequency": json.dumps({"5_x": {"cat": 3, "dog": 9}, "1_y": {"cat": 9}})}
    write(tmp_path / "ink.safetensors", metadata=tags)
    assert words_in(tmp_path) == []
    suggestions = LoraFolder(tmp_path, "sdxl").file_of("ink").notes.suggestions
    assert suggestions == ("cat", "dog")
    write(
        tmp_path / "ink.safetensors", metadata={**tags, "modelspec.trigger_phrase": " ink,  wash"}
    )
    assert words_in(tmp_path) == ["ink, wash"]
    (tmp_path / "ink.json").write_text('{"trainedWords": ["one,", "", 3, "two", "two"]}')
    assert words_in(tmp_path) == ["one", "two"]
    said = LoraSettings(trigger_words=("mine",), weight=0.8, trigger_weight=0)
    (listed,) = LoraFolder(tmp_path, "sdxl", {"ink": said}).available()
    assert listed["trigger_words"] == ["mine"]
    assert (listed["weight"], listed["trigger_weight"]) == (0.8, 0)
    none = LoraFolder(tmp_path, "sdxl", {"ink": LoraSettings(trigger_words=())})
    assert none.available()[0]["trigger_words"] == []
    weight_alone = LoraFolder(tmp_path, "sdxl", {"ink": LoraSettings(weight=-1)})
    assert weight_alone.available()[0]["trigger_words"] == ["one", "two"]
    (tmp_path / "ink.json").write_text('{"activation text": "noted, so", "preferred weight": 0}')
    assert words_in(tmp_path) == ["noted, so"]


def test_what_is_said_of_a_lora_that_is_not_there_is_told(tmp_path: Path) -> None:
    folder = LoraFolder(tmp_path, "sdxl", {"inc": LoraSettings()})
    assert folder.reports() == (
        f"the configuration names the LoRA 'inc', and {tmp_path} has none of that id",
    )


def test_what_is_refused_is_listed_below_the_folder_and_never_without_end(tmp_path: Path) -> None:
    write(tmp_path / "sub" / "x.safetensors", pairs({"lora_te_text_model_mlp_fc1": (8, 8)}))
    (tmp_path / "y.ckpt").write_bytes(b"")
    write(Path(os.fsdecode(os.fsencode(tmp_path) + b"/z\xff.safetensors")))
    assert LoraFolder(tmp_path, "sdxl").listed_refused() == (
        {"file": "sub/x.safetensors", "reason": "it is for sd1, and the model is of sdxl"},
        {
            "file": "y.ckpt",
            "reason": "it is a pickle, which could run code; convert it to safetensors",
        },
        {
            "file": "z\ufffd.safetensors",
            "reason": "its name is longer than 200 characters or not printable text",
        },
    )
    for number in range(600):
        (tmp_path / f"{number}.ckpt").write_bytes(b"")
    listed = LoraFolder(tmp_path, "sdxl").listed_refused()
    assert len(listed) == 500
    assert listed[-1]["reason"] == "104 more files, whose reasons are in the log"


@pytest.mark.parametrize(
    "side",
    [
        b"[]",
        b"{",
        b"\xff\xfe",
        b'{"id": true, "trainedWords": "words"}',
        b'{"id": -1, "trainedWords": [["x"], null]}',
        b'{"id": 1e400}',
        b'{"modelVersions": [1, {"id": "x", "files": 3}], "model": [1]}',
        b'{"modelVersions": [{"id": 1}, {"id": 2}]}',
        b'{"trainedWords": ["\\ud800"]}',
        b"[" * 100_000,
        b" " * 2_000_000,
    ],
    ids=lambda side: repr(side[:30]),
)
def test_a_side_file_that_makes_no_sense_counts_as_none(side: bytes, tmp_path: Path) -> None:
    write(tmp_path / "ink.safetensors")
    (tmp_path / "ink.json").write_bytes(side)
    (lora,) = LoraFolder(tmp_path, "sdxl").available()
    assert (lora["id"], lora["name"], lora["trigger_words"]) == ("ink", "ink", [])


def test_words_of_strangers_are_short_lines_that_can_be_published(tmp_path: Path) -> None:
    words = ["x" * 10_000, "two\nlines\x00\x1b[0m"] + [f"w{number}" for number in range(100)]
    write(tmp_path / "ink.safetensors")
    (tmp_path / "ink.json").write_text(json.dumps({"trainedWords": words, "model": {"name": "\t"}}))
    listed = words_in(tmp_path)
    assert len(listed) == 20
    assert max(map(len, listed)) == 500
    assert listed[1] == "two lines[0m"
    json.dumps(listed, ensure_ascii=False).encode()


def test_names_that_cannot_be_an_id_are_refused(tmp_path: Path) -> None:
    write(tmp_path / ("x" * 201 + ".safetensors"))
    write(tmp_path / "line\nbreak.safetensors")
    write(Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.safetensors")))
    assert ids_in(tmp_path) == []
    assert len(reasons_in(tmp_path)) == 3


def test_hidden_and_unfinished_files_are_passed_over(tmp_path: Path) -> None:
    write(tmp_path / ".hidden.safetensors")
    write(tmp_path / ".cache" / "ink.safetensors")
    write(tmp_path / "ink.safetensors.part")
    assert ids_in(tmp_path) == []
    assert reasons_in(tmp_path) == {}


def test_a_link_to_a_folder_elsewhere_is_followed(tmp_path: Path) -> None:
    write(tmp_path / "far" / "ink.safetensors")
    (tmp_path / "loras").mkdir()
    (tmp_path / "loras" / "more").symlink_to(tmp_path / "far")
    assert ids_in(tmp_path / "loras") == ["ink"]


def test_a_missing_folder_is_an_empty_one_until_it_is_there(tmp_path: Path) -> None:
    folder = LoraFolder(tmp_path / "loras", "sdxl")
    assert folder.available() == ()
    assert "No such file" in folder.refused[0].reason
    write(tmp_path / "loras" / "ink.safetensors")
    assert folder.refresh()
    assert [lora["id"] for lora in folder.available()] == ["ink"]


def test_only_what_is_new_or_changed_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    read_header = safetensors_header.read_header

    def noting(path: Path, limits: safetensors_header.Limits) -> Any:
        read.append(path.name)
        return read_header(path, limits)

    monkeypatch.setattr(files, "read_header", noting)
    first, second = write(tmp_path / "a.safetensors"), write(tmp_path / "b.safetensors")
    folder = LoraFolder(tmp_path, "sdxl")
    assert read == ["a.safetensors", "b.safetensors"]
    assert not folder.refresh()
    assert len(read) == 2
    os.utime(second, ns=(0, 0))
    assert folder.refresh()
    assert read[2:] == ["b.safetensors"]
    (tmp_path / "a.json").write_text('{"trainedWords": ["new"]}')
    assert folder.refresh()
    assert read[3:] == ["a.safetensors"]
    first.unlink()
    assert folder.refresh()
    assert [lora["id"] for lora in folder.available()] == ["b"]


def test_a_lora_that_is_gone_is_named_with_its_folder(tmp_path: Path) -> None:
    path = write(tmp_path / "ink.safetensors")
    folder = LoraFolder(tmp_path, "sdxl")
    assert folder.file_of("ink").path == path
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(RenderError, match=rf"'ink' is no longer in {tmp_path} \(it is cut short"):
        folder.file_of("ink")
    path.unlink()
    with pytest.raises(RenderError, match="its file is gone"):
        folder.file_of("ink")
