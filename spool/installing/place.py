"""Where an installation goes: the system's directories, or those of one user."""

from __future__ import annotations

import os
import stat
import sys
from dataclasses import dataclass
from pathlib import Path

from spool.problems import SpoolError

OWNER = "genzo"
"""User and group of the services of a whole machine."""
_HIDDEN = (Path("/tmp"), Path("/var/tmp"))  # noqa: S108
"""Services have their own."""


class InstallError(SpoolError):
    """Something that keeps an installation from being made; says what to do."""


@dataclass(frozen=True, slots=True)
class Place:
    """What an installation is made of: directories, the slots, and whose it is."""

    is_user: bool
    programs: Path
    """Where genzo, genzod and genzo-httpd are."""
    spool: Path
    config: Path
    units: Path
    slots: tuple[str, ...]

    @property
    def systemctl(self) -> tuple[str, ...]:
        return ("systemctl", "--user") if self.is_user else ("systemctl",)

    @property
    def services(self) -> tuple[str, ...]:
        """The units that are enabled."""
        daemons = tuple(f"genzod@{slot}.service" for slot in self.slots)
        return (
            "genzod.target",
            *daemons,
            "genzo-httpd.socket",
            "genzo-httpd.service",
            "genzo-clean.timer",
        )


def of_system(slots: tuple[str, ...], spool: Path | None) -> Place:
    """The whole machine's. Raises InstallError unless we are root and the services can run us."""
    if os.geteuid() != 0:
        raise InstallError(
            "to install for the whole machine, be root (sudo); without root: genzo install --user"
        )
    programs = _programs()
    _check_reachable(programs)
    return Place(
        is_user=False,
        programs=programs,
        spool=spool or Path("/var/spool/genzo"),
        config=Path("/etc/genzo/genzo.toml"),
        units=Path("/etc/systemd/system"),
        slots=slots,
    )


def of_user(slots: tuple[str, ...], spool: Path | None) -> Place:
    """This user's own."""
    state = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    config = Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config").expanduser()
    return Place(
        is_user=True,
        programs=_programs(),
        spool=spool or Path(state).expanduser() / "genzo",
        # Not under XDG_CONFIG_HOME: the configuration is looked for here only.
        config=Path("~/.config/genzo/genzo.toml").expanduser(),
        units=config / "systemd" / "user",
        slots=slots,
    )


def _programs() -> Path:
    programs = Path(sys.prefix) / "bin"
    for name in ("genzo", "genzod", "genzo-httpd"):
        if not (programs / name).exists():
            raise InstallError(f"{programs / name} is missing: pip install 'genzo[gpu,http]'")
    return programs


def _check_reachable(programs: Path) -> None:
    """Raise InstallError if the services' user cannot run what lies in `programs`."""
    advice = (
        "make the virtual environment in /opt/genzo with the system's Python, and install there"
    )
    for real in (programs.resolve(), Path(sys.executable).resolve().parent):
        if any(real.is_relative_to(hidden) for hidden in _HIDDEN):
            raise InstallError(f"{real}: services see another /tmp; {advice}")
        for folder in (real, *real.parents):
            if not folder.stat().st_mode & stat.S_IXOTH:
                raise InstallError(f"{folder}: the user {OWNER} may not enter it; {advice}")
