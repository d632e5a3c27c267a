"""What an installation does, step by step; each says what it would do and whether it has to."""

from __future__ import annotations

import os
import pwd
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from spool import settings
from spool.installing import units
from spool.installing.place import OWNER, InstallError, Place
from spool.installing.sample import sample
from spool.layout import MARKER


@dataclass(frozen=True, slots=True)
class Step:
    """One change: `said` for people, `is_due` looks whether it is needed, `make` makes it."""

    said: str
    is_due: Callable[[], bool]
    make: Callable[[], object]


def install_steps(place: Place, http: settings.HttpSettings) -> Iterator[Step]:
    """Every step of an installation, in order. Making one raises InstallError or OSError.

    A step looks when it comes to it, since those before it may be what makes it due.
    """
    accounts = units.account_files(place)
    for path, text in accounts.items():
        yield _write(path, text)
    if accounts:
        sysusers, tmpfiles = accounts
        yield _run(("systemd-sysusers", str(sysusers)), lambda: not _has_owner())
        yield _run(("systemd-tmpfiles", "--create", str(tmpfiles)), lambda: not _has_root(place))
    yield _run(
        _as_owner(place, str(place.programs / "genzo"), "init", str(place.spool)),
        lambda: not (place.spool / MARKER).exists(),
    )
    restart = shlex.join((*place.systemctl, "restart", "genzod.target", "genzo-httpd.service"))
    yield _keep(place.config, sample(place.spool, restart), None if place.is_user else OWNER)
    files = units.unit_files(place, http)
    changed = [path for path, text in files.items() if not _holds(path, text)]
    for path, text in files.items():
        yield _write(path, text)
    yield _run((*place.systemctl, "daemon-reload"), lambda: bool(changed))
    # What runs already takes up its new unit; a daemon finishes its step and puts its job back.
    yield _run(
        (*place.systemctl, "try-restart", "genzod.target", *place.services[1:]),
        lambda: bool(changed),
    )
    yield _run((*place.systemctl, "enable", "--now", *place.services), lambda: not _all_run(place))


def uninstall_steps(place: Place) -> Iterator[Step]:
    """Every step back; the spool, the configuration and the user stay."""
    there = [path for path in units.unit_files(place, settings.HttpSettings()) if path.exists()]
    enabled = _instances(place)
    if enabled:
        yield _run((*place.systemctl, "disable", "--now", *enabled), lambda: True)
    for path in there:
        yield Step(f"rm {path}", path.exists, path.unlink)
    yield _run((*place.systemctl, "daemon-reload"), lambda: bool(there))
    for path in units.account_files(place):
        yield Step(f"rm {path}", path.exists, path.unlink)


def _instances(place: Place) -> list[str]:
    """The units of ours that systemd knows, daemons of every slot among them."""
    command = (*place.systemctl, "list-units", "--all", "--plain", "--no-legend", "genzo*")
    listed = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    names = [line.split()[0] for line in listed.splitlines() if line.strip()]
    return sorted(name for name in names if not name.endswith((".slice", ".mount")))


def _write(path: Path, text: str) -> Step:
    def make() -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        path.chmod(0o644)

    return Step(f"write {path}", lambda: not _holds(path, text), make)


def _keep(path: Path, text: str, group: str | None) -> Step:
    """Write `path` unless it is there: it belongs to whoever runs the machine."""

    def make() -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        # It may hold tokens.
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o640)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        if group:
            shutil.chown(path, group=group)

    return Step(f"write {path}", lambda: not path.exists(), make)


def _run(command: Sequence[str], is_due: Callable[[], bool]) -> Step:
    def make() -> None:
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        if ended.returncode:
            raise InstallError(f"{shlex.join(command)}: {(ended.stderr or ended.stdout).strip()}")

    return Step(shlex.join(command), is_due, make)


def _as_owner(place: Place, *command: str) -> tuple[str, ...]:
    return command if place.is_user else ("runuser", "-u", OWNER, "--", *command)


def _holds(path: Path, text: str) -> bool:
    try:
        return path.read_text(encoding="utf-8") == text
    except FileNotFoundError:
        return False


def _has_owner() -> bool:
    try:
        pwd.getpwnam(OWNER)
    except KeyError:
        return False
    return True


def _has_root(place: Place) -> bool:
    return place.spool.is_dir() and place.spool.owner() == OWNER


def _all_run(place: Place) -> bool:
    for question in ("is-enabled", "is-active"):
        asked = subprocess.run(
            (*place.systemctl, question, "--quiet", *place.services), check=False
        )
        if asked.returncode:
            return False
    return True
