"""What holds for every test."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# The disk's speed varies; a slow example is no fault of the code.
settings.register_profile("genzo", deadline=None)
settings.load_profile("genzo")

_TESTS = Path(__file__).parent
_RERUN = ("page", "systemd", "httpd", "test_demo.py", "test_end_to_end.py")
"""Where tests drive browsers, booted machines and many processes, which share two cores."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Those of `_RERUN` are run once more if they fail; the summary names each as RERUN."""
    for item in items:
        if item.path.relative_to(_TESTS).parts[0] in _RERUN:
            item.add_marker(pytest.mark.flaky(reruns=1))


@pytest.fixture(autouse=True, scope="session")
def _cache_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Services that tests start keep nothing in the user's cache, and find nothing there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CACHE_DIRECTORY", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, of 256 KiB, where one can be mounted."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)
