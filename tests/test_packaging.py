"""What gets installed, and what an import pulls in."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from daemon.models import Models, specs_of
from spool.exits import Exit
from spool.layout import Spool
from spool.settings import DaemonSettings

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("package", ["daemon", "httpd", "spool"])
def test_our_package_names_resolve_to_our_tree(package: str) -> None:
    module = importlib.import_module(package)
    assert module.__file__ is not None
    assert Path(module.__file__).is_relative_to(ROOT)


@pytest.mark.parametrize(
    "module", ["httpd.application", "httpd.service", "spool.cli.main", "spool.intake"]
)
def test_serving_and_submitting_never_import_torch_or_pillow(module: str) -> None:
    program = f"import json, sys, {module}; print(json.dumps(sorted(sys.modules)))"
    output = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
    loaded = {name.partition(".")[0] for name in json.loads(output.stdout)}
    assert not loaded & {"torch", "diffusers", "transformers", "numpy", "PIL", "daemon"}


def test_the_catalogue_of_a_daemon_needs_no_torch() -> None:
    program = (
        "import sys; from daemon.models import Models, specs_of; "
        "from spool.settings import DaemonSettings; "
        "assert Models(specs_of((), DaemonSettings())).entries; print('torch' in sys.modules)"
    )
    output = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
    assert output.stdout.strip() == b"False"


def test_the_embedded_model_comes_with_its_lora_and_in_12_mb() -> None:
    (entry,) = Models(specs_of((), DaemonSettings())).entries
    (lora,) = entry.available_loras
    assert lora == {
        "id": "civitai_1963644",
        "name": "Blueprint",
        "trigger_words": ["blueprint"],
        "weight": 1.0,
        "trigger_weight": 0.5,
    }
    shipped = ROOT / "daemon" / "embedded"
    assert sum(path.stat().st_size for path in _weights(shipped)) <= 12_000_000


def test_a_wheel_holds_the_embedded_model_and_its_lora_for_every_user_to_read(
    tmp_path: Path,
) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel"]
    subprocess.run(
        [*command, "--directory", str(tmp_path)], cwd=ROOT, check=True, capture_output=True
    )
    (wheel,) = tmp_path.iterdir()
    shipped = ROOT / "daemon" / "embedded"
    with zipfile.ZipFile(wheel) as archive:
        modes = {entry.filename: entry.external_attr >> 16 for entry in archive.infolist()}
        names = {name for name in modes if name.startswith("daemon/embedded/")}
    assert names == {
        path.relative_to(ROOT).as_posix()
        for path in [shipped / "__init__.py", shipped / "MODEL_CARD.md", *_weights(shipped)]
    }
    assert all(modes[name] & 0o444 == 0o444 for name in names)


def _weights(shipped: Path) -> list[Path]:
    """The files of the embedded model and its LoRA."""
    found = [path for part in ("model", "loras") for path in (shipped / part).rglob("*")]
    return [path for path in found if path.is_file()]


def test_every_dependency_is_pinned_and_torch_to_the_one_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = list(project["dependencies"])
    for extra in project["optional-dependencies"].values():
        wanted += [name for name in extra if not name.startswith("genzo[")]
    pins = dict(
        line.split("==")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if "==" in line and not line.startswith("#")
    )
    names = {name.split(">")[0].split("<")[0].lower() for name in wanted}
    assert names <= {name.lower() for name in pins}
    assert pins["torch"] == "2.13.0"


@pytest.mark.parametrize(("package", "missing"), [("httpd", "starlette"), ("daemon", "torch")])
def test_a_service_without_its_extra_says_which_one_to_install(
    package: str, missing: str, tmp_path: Path
) -> None:
    Spool.create(tmp_path / "spool")
    program = (
        f"import sys; sys.modules[{missing!r}] = None; "
        f"sys.argv[1:] = ['--spool', {str(tmp_path / 'spool')!r}]; "
        f"from {package}.__main__ import main; sys.exit(main())"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == Exit.CONFIGURATION
    assert "pip install 'genzo[" in ended.stderr
    assert "Traceback" not in ended.stderr
