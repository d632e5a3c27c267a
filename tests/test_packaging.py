"""What gets installed, and what an import pulls in."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from spool.exits import Exit
from spool.layout import Spool

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
