"""Which spool a command means."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from spool.layout import Spool


def spool_directory(arguments: argparse.Namespace) -> Path:
    """`--spool`, `$GENZO_SPOOL`, the configuration's, or the default one, in this order."""
    named: Path | None = getattr(arguments, "spool", None)
    if named is not None:
        return named
    if variable := os.environ.get("GENZO_SPOOL"):
        return Path(variable)
    from spool import settings

    return settings.load(getattr(arguments, "config", None)).spool_directory


def open_spool(arguments: argparse.Namespace) -> Spool:
    """The spool a command works on. Raises NotASpool or SettingsError.

    Root acts as the spool's owner from here on: files of root's in it would stop the daemon.
    """
    spool = Spool.open(spool_directory(arguments))
    act_as_owner(spool.root)
    return spool


def act_as_owner(root: Path) -> None:
    """Give up being root for the owner of `root`; anyone else stays who they are."""
    owner = root.stat()
    if os.geteuid() == 0 and owner.st_uid != 0:
        os.setgroups([])
        os.setegid(owner.st_gid)
        os.seteuid(owner.st_uid)
