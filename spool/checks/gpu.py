"""The GPU, as a process of its own sees it: this one must not import torch."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spool.checks.findings import Finding, error, note, ok, warning
from spool.layout import Spool
from spool.settings import Settings

ASK_SECONDS = 60.0
"""Importing torch takes ten seconds on a slow disk."""

_INSTALL = "pip install --force-reinstall -c constraints.txt torch"
_DRIVER = Path("/proc/driver/nvidia/version")
_DEVICE = Path("/dev/nvidia0")
_ARCHITECTURE = re.compile(r"(sm|compute)_(\d+)(\d)([af]?)", re.ASCII)
_QUESTION = """
import json, torch
there = torch.cuda.is_available()
devices = range(torch.cuda.device_count() if there else 0)
print("\\n" + json.dumps({
    "torch": torch.__version__,
    "cuda": torch.version.cuda,
    "available": there,
    "devices": [
        [torch.cuda.get_device_name(i), list(torch.cuda.get_device_capability(i))]
        for i in devices
    ],
    "architectures": torch.cuda.get_arch_list() if there else [],
}))
"""


@dataclass(frozen=True, slots=True)
class Device:
    """A GPU; its capability is (8, 6) for sm_86."""

    name: str
    capability: tuple[int, int]


@dataclass(frozen=True, slots=True)
class TorchReport:
    """What torch says; `cuda` is None in a build without it."""

    torch: str
    cuda: str | None
    available: bool
    devices: tuple[Device, ...] = ()
    architectures: tuple[str, ...] = ()


def gpu(_spool: Spool, settings: Settings) -> Iterator[Finding]:
    """Whether torch is there and has kernels for the GPUs that are."""
    if importlib.util.find_spec("torch") is None:
        yield note("torch", "is not installed: this machine submits and serves, but renders not")
        return
    try:
        report = ask_torch()
    except subprocess.TimeoutExpired:
        yield warning("torch", f"did not answer within {ASK_SECONDS:.0f} s", "nvidia-smi may hang")
    except (subprocess.CalledProcessError, ValueError, KeyError, TypeError) as fault:
        yield error("torch", f"cannot be imported: {_last_line(fault)}", _INSTALL)
    else:
        driver = _DRIVER.exists() or _DEVICE.exists()
        wanted = settings.daemon.device.startswith("cuda")
        yield from judge_torch(report, driver=driver, wanted=wanted)


def ask_torch() -> TorchReport:
    """Import torch in a process of its own. Raises what subprocess and json raise."""
    answer = subprocess.run(
        [sys.executable, "-c", _QUESTION],
        capture_output=True,
        text=True,
        timeout=ASK_SECONDS,
        check=True,
    )
    data: dict[str, Any] = json.loads(answer.stdout.splitlines()[-1])
    devices = tuple(Device(name, (major, minor)) for name, (major, minor) in data["devices"])
    return TorchReport(
        torch=data["torch"],
        cuda=data["cuda"],
        available=data["available"],
        devices=devices,
        architectures=tuple(data["architectures"]),
    )


def judge_torch(report: TorchReport, *, driver: bool, wanted: bool) -> Iterator[Finding]:
    """What torch's report means; `driver` tells of an NVIDIA driver here, `wanted` whether the
    configuration asks for a GPU."""
    where = f"torch {report.torch}"
    if report.available:
        for device in report.devices:
            yield _judge_device(where, device, report)
        return
    if report.cuda is None and (driver or wanted):
        yield (error if wanted else warning)(
            where,
            "is a build without CUDA" + (", though an NVIDIA driver is here" if driver else ""),
            f"install the CUDA build: {_INSTALL} (without the index of CPU builds)",
        )
    elif driver:
        yield error(
            where,
            f"is built for CUDA {report.cuda} and finds no GPU, though an NVIDIA driver is here",
            "compare nvidia-smi's CUDA version: update the driver, or install a torch for an "
            "older CUDA; see that the user may open /dev/nvidia*",
        )
    elif wanted:
        yield error(
            where,
            "finds no GPU, and the configuration asks for one",
            'install the driver, or set device = "auto" in genzo.toml, [daemon]',
        )
    else:
        yield note(where, "finds no GPU: jobs are rendered on the CPU")


def _judge_device(where: str, device: Device, report: TorchReport) -> Finding:
    major, minor = device.capability
    # A build without CUDA that finds a GPU is one for AMD, whose names are others.
    if report.cuda is None or has_kernels(device.capability, report.architectures):
        return ok(device.name, f"sm_{major}{minor}, {where}, CUDA {report.cuda}")
    return error(
        device.name,
        f"is sm_{major}{minor}, for which {where} (CUDA {report.cuda}) has no kernels: it has "
        f"{', '.join(report.architectures) or 'none'}",
        _advice(device.capability, report.architectures),
    )


def has_kernels(capability: tuple[int, int], architectures: tuple[str, ...]) -> bool:
    """Whether a GPU of `capability` runs code that was built for `architectures`.

    Machine code (sm_XY) runs on the same major version from minor Y on, PTX (compute_XY) on
    everything newer. With an `a` it runs on no other than XY, with an `f` as machine code does.
    CUDA C++ Programming Guide, "Application Compatibility".
    """
    for name in architectures:
        match = _ARCHITECTURE.fullmatch(name)
        if match is None:
            continue
        built = (int(match[2]), int(match[3]))
        same_family = built[0] == capability[0] and built <= capability
        if match[4] == "a":
            fits = built == capability
        elif match[1] == "sm" or match[4] == "f":
            fits = same_family
        else:
            fits = built <= capability
        if fits:
            return True
    return False


def _advice(capability: tuple[int, int], architectures: tuple[str, ...]) -> str:
    built = [
        (int(match[2]), int(match[3]))
        for match in map(_ARCHITECTURE.fullmatch, architectures)
        if match
    ]
    if built and capability < min(built):
        return "the GPU is older than this build: install a torch built for an older CUDA (cu126)"
    return "the GPU is newer than this build: install a newer torch, built for a newer CUDA"


def _last_line(fault: Exception) -> str:
    text = fault.stderr if isinstance(fault, subprocess.CalledProcessError) else str(fault)
    return ((text or "").strip().splitlines() or [type(fault).__name__])[-1][:300]
