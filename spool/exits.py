"""The exit statuses of genzod and genzo-httpd, after sysexits.h; the systemd units name them."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """Why a service ended."""

    OK = 0
    """It was asked to."""
    FAILURE = 1
    """An error that a restart may mend."""
    DEVICE_LOST = 70
    """The GPU's context is beyond use; only a new process gets a new one."""
    IO_ERROR = 74
    """The spool's disk cannot be written."""
    SLOT_BUSY = 75
    """Another process holds the slot; to be tried again."""
    CONFIGURATION = 78
    """The configuration is at fault; no restart mends that."""
