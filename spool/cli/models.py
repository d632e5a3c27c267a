"""`genzo models`: what the slots serve; what a file is; and adding it to genzo.toml."""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from spool import settings
from spool.catalogue import ModelEntry, read_reports
from spool.cli.places import open_spool
from spool.problems import SpoolError

_DEFAULTS = ("steps", "guidance_scale", "sampler")
_INSPECTION_SECONDS = 60.0


class ModelsError(SpoolError):
    """A file that is no model, or a configuration that cannot take one."""


def models(arguments: argparse.Namespace) -> int:
    """List the models of the slots' reports with their defaults and LoRAs."""
    reports = read_reports(open_spool(arguments))
    if arguments.json:
        listed = {report.slot: [_as_json(entry) for entry in report.models] for report in reports}
        print(json.dumps(listed, ensure_ascii=False, indent=1))
        return 0
    if not reports:
        print("No daemon has reported yet; start one with: genzod", file=sys.stderr)
    for report in reports:
        for entry in report.models:
            print(f"{entry.name}  {entry.family}  slot {report.slot} ({report.state})")
            print(f"    {entry.error or entry.state}")
            print(f"    {_sentence(entry)}")
            for lora in entry.available_loras:
                words = ", ".join(lora["trigger_words"]) or "no trigger"
                print(f"    LoRA {lora['id']}  {lora['name']}  ({words})")
            for refused in entry.refused_loras:
                print(f"    not a LoRA of it: {refused['file']}: {refused['reason']}")
        for model in report.unusable:
            print(f"{model['name']}  {model['family']}  slot {report.slot}: cannot be used")
            print(f"    {model['error']}")
    return 0


def check(arguments: argparse.Namespace) -> int:
    """Print what a file or folder is, what it lacks, and the settings it would get."""
    found = _inspect(arguments.path)
    print(f"{found['path']}: {found['family']}; holds {', '.join(found['holds'])}")
    for note in found["notes"]:
        print(f"  {note}")
    for key in found["missing"]:
        print(f"  missing: name it as `{key}` in genzo.toml")
    print("  defaults: " + ", ".join(f"{k} {v}" for k, v in found["defaults"].items()))
    print(_toml(found, arguments.path))
    return int(bool(found["missing"]))


def add(arguments: argparse.Namespace) -> int:
    """Append a model's lines to the configuration; nothing else in it is touched."""
    found = _inspect(arguments.path)
    config = settings.find(getattr(arguments, "config", None)) or Path("genzo.toml")
    before = config.read_text(encoding="utf-8") if config.exists() else ""
    known = {model.name for model in settings.load(config).model} if before else set()
    name = _name(arguments.path)
    if name in known:
        raise ModelsError(f"{config}: has a model {name!r} already; edit it there")
    text = _toml(found, arguments.path)
    with config.open("a", encoding="utf-8") as file:
        file.write(("\n" if before.strip() else "") + text + "\n")
    print(f"{config}: added\n{text}")
    for key in found["missing"]:
        print(f"genzo: name what is missing as `{key}` in {config}", file=sys.stderr)
    return int(bool(found["missing"]))


def _inspect(path: Path) -> dict[str, Any]:
    # The daemon knows weights; this command line must work where it is not installed.
    command = [sys.executable, "-m", "daemon.weights.inspection", str(path.absolute())]
    ended = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=_INSPECTION_SECONDS
    )
    if ended.returncode:
        lines = ended.stderr.strip().splitlines() or ["the inspection failed"]
        raise ModelsError(lines[-1])
    document: dict[str, Any] = json.loads(ended.stdout)
    return document


def _toml(found: dict[str, Any], path: Path) -> str:
    lines = [
        "[[model]]",
        f"name = {json.dumps(_name(path))}",
        f"family = {json.dumps(found['family'])}",
        f"weights = {json.dumps(str(path.absolute()), ensure_ascii=False)}",
        *(f"# {key} = …" for key in found["missing"]),
    ]
    return "\n".join(lines)


def _name(path: Path) -> str:
    stem = path.stem if path.suffix in {".safetensors", ".gguf"} else path.name
    return re.sub(r"[^\w.-]+", "-", stem).strip("-").lower()[:100] or "model"


def _sentence(entry: ModelEntry) -> str:
    properties = entry.parameter_schema.get("properties", {})
    defaults = {name: properties.get(name, {}).get("default") for name in _DEFAULTS}
    size = "x".join(str(properties.get(side, {}).get("default")) for side in ("width", "height"))
    shown = ", ".join(f"{name} {value}" for name, value in defaults.items() if value is not None)
    return f"{size} px, {shown}" + (", the default model" if entry.default else "")


def _as_json(entry: ModelEntry) -> dict[str, Any]:
    properties = entry.parameter_schema.get("properties", {})
    wanted = ("width", "height", *_DEFAULTS)
    return {
        "name": entry.name,
        "family": entry.family,
        "default": entry.default,
        "state": entry.state,
        "error": entry.error,
        "defaults": {name: properties.get(name, {}).get("default") for name in wanted},
        "loras": list(entry.available_loras),
        "refused_loras": list(entry.refused_loras),
    }
