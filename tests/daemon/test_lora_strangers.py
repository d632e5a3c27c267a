"""Files in a folder of LoRAs that were made to do harm, or are none."""

from __future__ import annotations

import json
import os
import struct
import tracemalloc
from pathlib import Path

import pytest

from daemon.loras.files import LIMITS
from tests.daemon.test_lora_files import ids_in, reasons_in, write


def header_of(text: bytes, data: bytes = b"") -> bytes:
    return struct.pack("<Q", len(text)) + text + data


def entry(**changes: object) -> bytes:
    tensor = {"dtype": "F16", "shape": [2], "data_offsets": [0, 4], **changes}
    return header_of(json.dumps({"lora_unet_x.lora_up.weight": tensor}).encode(), b"\0" * 4)


HOSTILE = {
    "empty": (b"", "cut short"),
    "short": (b"\x08\0\0", "cut short"),
    "endless": (b"\xff" * 8 + b"{}", "cut short"),
    "negative": (struct.pack("<q", -1), "cut short"),
    "not json": (header_of(b"{not json}"), "not JSON"),
    "not utf-8": (header_of(b'{"\xff": 1}'), "not JSON"),
    "a list": (header_of(b"[]"), "not a JSON object"),
    "deep": (header_of(b'{"a":' + b"[" * 500_000), "not JSON"),
    "deep list": (header_of(b"[" * 500_000), "not a JSON object"),
    "long number": (header_of(b'{"a": ' + b"9" * 100_000 + b"}"), "not JSON"),
    "metadata": (header_of(b'{"__metadata__": [1]}'), "metadata"),
    "no tensor": (header_of(b'{"a": 1}'), "not described"),
    "shape": (entry(shape=[-1]), "not described"),
    "shape of texts": (entry(shape=["x"]), "not described"),
    "no shape": (entry(shape=None), "not described"),
    "offsets": (entry(data_offsets=[0]), "not described"),
    "true": (entry(data_offsets=[0, True]), "not described"),
    "past the end": (entry(data_offsets=[1, 5]), "cut short"),
    "other size": (entry(data_offsets=[0, 2]), "size of its shape"),
    "no tensors": (header_of(b"{}"), "no LoRA at all"),
    "pickle": (b"\x80\x02}q\x00.", "pickle"),
    "zipped pickle": (b"PK\x03\x04" + b"\0" * 100, "pickle"),
    "many": (
        header_of(
            json.dumps(
                {
                    str(n): {"dtype": "F16", "shape": [], "data_offsets": [0, 0]}
                    for n in range(20_001)
                }
            ).encode()
        ),
        "tensors are above",
    ),
    "large header": (header_of(b" " * (LIMITS.header_bytes + 1)), "header of"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_file_is_refused_with_a_reason(kind: str, tmp_path: Path) -> None:
    content, reason = HOSTILE[kind]
    (tmp_path / "x.safetensors").write_bytes(content)
    assert reason in reasons_in(tmp_path)["x.safetensors"]


def test_the_worst_header_takes_bounded_memory(tmp_path: Path) -> None:
    worst = b'{"a":[' + b"[]," * ((LIMITS.header_bytes - 10) // 3) + b"0]}"
    (tmp_path / "x.safetensors").write_bytes(header_of(worst))
    tracemalloc.start()
    assert "not described as one" in reasons_in(tmp_path)["x.safetensors"]
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 400 << 20


def test_a_sparse_file_of_terabytes_is_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / "x.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", 1 << 39))
        file.truncate(1 << 40)
    assert "are above" in reasons_in(tmp_path)["x.safetensors"]


@pytest.mark.parametrize("length", [0x0280, 0x010480, 0x3C20, 0x7B20])
def test_a_header_whose_length_begins_like_something_else_is_read(
    length: int, tmp_path: Path
) -> None:
    """0x0280 in little-endian is how a pickle begins, 0x3C20 a space and the mark of a page."""
    name = "lora_te1_text_model_encoder_layers_0_mlp_fc1"
    pair = {
        f"{name}.lora_down.weight": {"dtype": "F16", "shape": [1, 2], "data_offsets": [0, 4]},
        f"{name}.lora_up.weight": {"dtype": "F16", "shape": [2, 1], "data_offsets": [4, 8]},
    }
    text = json.dumps(pair).encode().ljust(length)
    (tmp_path / "x.safetensors").write_bytes(header_of(text, b"\0" * 8))
    assert ids_in(tmp_path) == ["x"]


@pytest.mark.parametrize("ending", ["pt", "ckpt", "bin", "pth"])
def test_pickles_are_refused_by_name(ending: str, tmp_path: Path) -> None:
    (tmp_path / f"x.{ending}").write_bytes(b"anything")
    assert "pickle" in reasons_in(tmp_path)[f"x.{ending}"]


def test_things_that_are_no_files_are_refused_and_waited_for_by_nobody(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.safetensors")
    (tmp_path / "broken.safetensors").symlink_to(tmp_path / "nowhere")
    (tmp_path / "loop.safetensors").symlink_to(tmp_path / "loop.safetensors")
    (tmp_path / "folder.safetensors").mkdir()
    (tmp_path / "round").symlink_to(tmp_path)
    write(tmp_path / "ink.safetensors")
    os.mkfifo(tmp_path / "ink.json")
    assert ids_in(tmp_path) == ["ink"]
    assert set(reasons_in(tmp_path)) == {
        "fifo.safetensors",
        "broken.safetensors",
        "loop.safetensors",
    }
