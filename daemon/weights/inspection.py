"""`python -m daemon.weights.inspection PATH`: what a model is, as JSON, without torch.

For `genzo models check` and `add`, which must not import the daemon themselves.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from daemon.errors import DaemonError, ModelError
from daemon.families import ModelSpec, parameters_of
from daemon.weights.contents import Contents, Part, contents_of
from daemon.weights.headers import read_header
from daemon.weights.layouts import LAYOUTS

_OF_PIPELINES = {layout.pipeline: family for family, layout in LAYOUTS.items()}


def inspection(path: Path) -> dict[str, Any]:
    """What `path` is: family, what it holds, what is missing, the settings it would get.

    Raises DaemonError in one line if it is nothing that genzo loads.
    """
    if path.is_dir():
        family, held, missing, notes = _family_of_folder(path), ["a diffusers folder"], [], []
    else:
        contents = contents_of(read_header(path))
        if contents.family is None:
            parts = ", ".join(contents.parts)
            raise ModelError(f"{path}: holds only {parts}; name it beside a model that needs it")
        family, held = contents.family, [str(part) for part in contents.parts]
        missing, notes = _missing(contents), _notes(contents)
    schema = parameters_of(ModelSpec(path.stem, family, path)).model_json_schema()
    wanted = ("width", "height", "steps", "guidance_scale", "sampler")
    return {
        "path": str(path),
        "family": family,
        "holds": held,
        "missing": missing,
        "notes": notes,
        "defaults": {name: schema["properties"][name].get("default") for name in wanted},
    }


def _family_of_folder(folder: Path) -> str:
    index = folder / "model_index.json"
    try:
        name = json.loads(index.read_text(encoding="utf-8"))["_class_name"]
    except (OSError, ValueError, KeyError, TypeError):
        raise ModelError(f"{folder}: has no readable model_index.json; is it a model?") from None
    if name not in _OF_PIPELINES:
        raise ModelError(f"{folder}: is a {name}; genzo has {', '.join(sorted(LAYOUTS))}")
    return _OF_PIPELINES[name]


def _missing(contents: Contents) -> list[str]:
    """The keys of genzo.toml that must name something beside the file."""
    assert contents.family is not None
    layout = LAYOUTS[contents.family]
    keys = [c.setting for c in layout.components if c.setting and c.part not in contents.parts]
    if any(not tokenizer.is_clip for tokenizer in layout.tokenizers):
        keys.append("tokenizer")
    return keys


def _notes(contents: Contents) -> list[str]:
    notes = [f"weights are {contents.precision(Part.NETWORK)}"]
    if contents.family == "flux":
        notes.append("dev" if contents.has_guidance else "schnell")
    if contents.is_v_prediction:
        notes.append("v-prediction")
    if contents.is_zero_snr:
        notes.append("zero terminal SNR")
    return notes


def main() -> None:
    """Print the inspection of the path in the first argument; 1 with one line if there is none."""
    try:
        sys.stdout.write(json.dumps(inspection(Path(sys.argv[1]))) + "\n")
    except DaemonError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
