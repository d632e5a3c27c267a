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
    """The spool a command works on. Raises NotASpool or SettingsError."""
    return Spool.open(spool_directory(arguments))
