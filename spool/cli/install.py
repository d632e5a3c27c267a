"""`genzo install` and `genzo uninstall`: the services of this machine, or of this user."""

from __future__ import annotations

import argparse
import getpass
import json
import os
import socket
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from spool import settings
from spool.cli.dropping import drop
from spool.ids import Clock
from spool.installing import place as places
from spool.installing.advice import after_install
from spool.installing.gpus import find_gpus
from spool.installing.place import InstallError, Place
from spool.installing.steps import Step, install_steps, uninstall_steps
from spool.layout import Spool
from spool.states import Status
from spool.views import JobView, job_view

_PICTURE_SECONDS = 900.0
_JOB = {"prompt": "a red circle on a white background", "name": "genzo install", "priority": 9}


def install(arguments: argparse.Namespace) -> int:
    """Install, start, render a picture, and say how it is used. Nothing is changed twice."""
    slots = arguments.slots or _slots()
    place = _place(arguments, slots)
    http = settings.load(place.config).http if place.config.exists() else settings.HttpSettings()
    changes = _make(install_steps(place, http), dry_run=arguments.dry_run)
    if arguments.dry_run:
        return 0
    if changes:
        picture = _render(Spool.open(place.spool))
        print(f"It works: {picture}", file=sys.stderr)
    else:
        print("Everything is in place; nothing was changed.", file=sys.stderr)
    print(after_install(place, http, socket.gethostname(), _user()))
    return 0


def uninstall(arguments: argparse.Namespace) -> int:
    """Stop the services and remove their units; jobs, pictures and configuration stay."""
    place = _place(arguments, ())
    _make(uninstall_steps(place), dry_run=arguments.dry_run)
    print(f"The spool {place.spool} and {place.config} are left as they are.", file=sys.stderr)
    return 0


def _place(arguments: argparse.Namespace, slots: tuple[str, ...]) -> Place:
    """Where things go; the spool is that of `--spool`, of the configuration, or the usual one."""
    asked: Path | None = getattr(arguments, "spool", None)
    of = places.of_user if arguments.user else places.of_system
    config = of(slots, None).config
    configured = settings.load(config).spool if config.exists() else None
    wanted = asked.absolute() if asked else configured
    if configured and wanted != configured:
        raise InstallError(
            f"{config} says spool = {str(configured)!r}, which is not {wanted}; change it there"
        )
    return of(slots, wanted)


def _make(steps: Iterable[Step], *, dry_run: bool) -> int:
    """Make the steps that are due; how many there were."""
    changes = 0
    for step in steps:
        if step.is_due():
            changes += 1
            print(step.said, file=sys.stderr)
            if not dry_run:
                step.make()
    return changes


def _slots() -> tuple[str, ...]:
    gpus = find_gpus()
    for number, name in gpus.items():
        print(f"GPU {number}: {name}", file=sys.stderr)
    if not gpus:
        print("No NVIDIA GPU is found: one daemon renders on the CPU.", file=sys.stderr)
    return tuple(gpus) or ("0",)


def _render(spool: Spool) -> Path:
    """Drop a job as anyone would and wait for its picture. Raises InstallError."""
    job_id = Clock().draw()
    print("Rendering a picture …", file=sys.stderr)
    drop(spool, f"{job_id}.json", json.dumps(_JOB).encode())
    view = _end_of(spool, job_id)
    if view.status is not Status.COMPLETED:
        detail = view.error.get("detail") if view.error else "no reason is known"
        raise InstallError(f"job {job_id} is {view.status}: {detail}")
    return spool.gallery / str(view.images[0]["filename"])


def _end_of(spool: Spool, job_id: str) -> JobView:
    deadline = time.monotonic() + _PICTURE_SECONDS
    while time.monotonic() < deadline:
        view = job_view(spool, job_id)
        if view is not None and (view.status.is_final or view.status is Status.HELD):
            return view
        time.sleep(0.1)
    raise InstallError(
        f"job {job_id} has not ended in {_PICTURE_SECONDS:g} s; see: genzo show {job_id}"
    )


def _user() -> str:
    """Who asked, also through sudo."""
    return os.environ.get("SUDO_USER") or getpass.getuser()
