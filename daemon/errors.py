"""What can go wrong in the daemon.

DaemonError        base of every error this package raises on purpose
├── ModelError     a model cannot be used at all: its description, folder or weights are at fault
└── RenderError    one picture cannot be rendered; the model stays usable for the next
"""

from __future__ import annotations


class DaemonError(Exception):
    """Base of the errors that callers are expected to handle."""


class ModelError(DaemonError):
    """A model cannot be described or loaded; the message names the path and what to do."""


class RenderError(DaemonError):
    """A picture cannot be rendered; the message names the cause and what to do."""
