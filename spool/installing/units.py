"""The unit files of `systemd/`, fitted to a place.

As they lie in the repository they are whole: programs in /opt/genzo, the spool in
/var/spool/genzo. Other places are written in their stead. For a user's own manager, what only
root's can do is left out: the services' user, and the sandbox.
"""

from __future__ import annotations

import re
from pathlib import Path

from spool import settings
from spool.installing.place import Place
from spool.version import VERSION

_SHIPPED = Path(__file__).parent / "systemd"
_PROGRAMS, _SPOOL = "/opt/genzo/bin", "/var/spool/genzo"
_SANDBOX = re.compile(r"^# Sandbox\n.*?(?=^\[|\Z)", re.MULTILINE | re.DOTALL)
_LISTEN = re.compile(r"^ListenStream=.*\n(ListenStream=.*\n)*", re.MULTILINE)


def source() -> Path:
    """The folder of the unit files: in an installed package, or in the repository."""
    return _SHIPPED if _SHIPPED.is_dir() else Path(__file__).parents[2] / "systemd"


def unit_files(place: Place, http: settings.HttpSettings) -> dict[Path, str]:
    """Path and content of each unit."""
    found = sorted(path for path in source().iterdir() if path.suffix in KINDS)
    return {place.units / path.name: _fitted(path.read_text(), place, http) for path in found}


def account_files(place: Place) -> dict[Path, str]:
    """Path and content of sysusers.d and tmpfiles.d; none for a user's own installation."""
    if place.is_user:
        return {}
    return {
        Path("/etc") / folder / "genzo.conf": _placed(
            (source() / folder / "genzo.conf").read_text(), place
        )
        for folder in ("sysusers.d", "tmpfiles.d")
    }


KINDS = frozenset({".service", ".socket", ".target", ".timer"})


def _fitted(text: str, place: Place, http: settings.HttpSettings) -> str:
    text = _placed(text, place)
    if (http.host, http.port) != (settings.HttpSettings().host, settings.HttpSettings().port):
        host = f"[{http.host}]" if ":" in http.host else http.host
        text = _LISTEN.sub(f"ListenStream={host}:{http.port}\n", text)
    if place.is_user:
        text = _SANDBOX.sub("NoNewPrivileges=true\n\n", text)
        # A user has a home already, with the configuration in it.
        text = re.sub(r"^(User|Group|Environment=HOME)=.*\n", "", text, flags=re.MULTILINE)
        text = text.replace("WantedBy=multi-user.target", "WantedBy=default.target")
    return f"# Written by genzo {VERSION} (genzo install).\n{text}"


def _placed(text: str, place: Place) -> str:
    return text.replace(_PROGRAMS, str(place.programs)).replace(_SPOOL, str(place.spool))
