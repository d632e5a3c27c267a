"""The untyped libraries, kept from the network and from chatting; the only place that imports them.

Their client of the hub and their loggers read the environment when they are imported, never
again.
"""

from __future__ import annotations

import importlib
import os
import warnings
from functools import cache
from typing import Any


def hub(*, offline: bool = True) -> Any:
    """huggingface_hub, which reports nothing to anyone and by default asks no one."""
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    if offline:
        os.environ["HF_HUB_OFFLINE"] = "1"
    return importlib.import_module("huggingface_hub")


@cache
def transformers() -> Any:
    """The library of the text encoders."""
    hub()
    os.environ["TRANSFORMERS_VERBOSITY"] = "error"
    return _quiet(importlib.import_module("transformers"))


@cache
def diffusers() -> Any:
    """The library of the pipelines."""
    transformers()
    # peft warns of every LoRA beside another; several at once are what we want.
    warnings.filterwarnings("ignore", message="Already found a `peft_config` attribute")
    return _quiet(importlib.import_module("diffusers"))


def _quiet(library: Any) -> Any:
    library.utils.logging.set_verbosity_error()
    library.utils.logging.disable_progress_bar()
    return library
