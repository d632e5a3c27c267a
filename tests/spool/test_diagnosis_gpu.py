"""What `genzo doctor` makes of torch's word on the GPUs."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest

from spool.checks import gpu
from spool.checks.findings import Finding, Level
from spool.checks.gpu import Device, TorchReport, ask_torch, has_kernels, judge_torch
from spool.layout import Spool
from spool.settings import Settings

BUILT = ("sm_75", "sm_80", "sm_86", "sm_90", "sm_100", "sm_120", "compute_120")


def judged(report: TorchReport, *, driver: bool = False, wanted: bool = False) -> Finding:
    (finding,) = judge_torch(report, driver=driver, wanted=wanted)
    return finding


@pytest.mark.parametrize(
    ("capability", "architectures", "fits"),
    [
        ((9, 0), BUILT, True),
        ((8, 9), BUILT, True),  # code for sm_86 runs on sm_89
        ((8, 9), ("sm_90",), False),
        ((8, 0), ("sm_86",), False),
        ((6, 1), BUILT, False),
        ((12, 1), BUILT, True),
        ((13, 0), BUILT, True),  # by way of PTX
        ((13, 0), BUILT[:-1], False),
        ((9, 0), ("sm_90a",), True),
        ((12, 1), ("sm_120a",), False),
        ((12, 1), ("sm_120f",), True),
        ((13, 0), ("compute_120a",), False),
        ((9, 0), ("gfx90a", "nonsense"), False),
        ((9, 0), (), False),
    ],
)
def test_kernels_fit_a_gpu_or_not(
    capability: tuple[int, int], architectures: tuple[str, ...], fits: bool
) -> None:
    assert has_kernels(capability, architectures) is fits


def test_a_gpu_with_kernels_is_ok() -> None:
    h100 = Device("NVIDIA H100", (9, 0))
    finding = judged(TorchReport("2.13.0+cu130", "13.0", True, (h100,), BUILT))
    assert finding.level is Level.OK


@pytest.mark.parametrize(("capability", "advice"), [((6, 1), "older CUDA"), ((13, 0), "newer")])
def test_a_gpu_without_kernels_is_an_error_that_says_what_to_install(
    capability: tuple[int, int], advice: str
) -> None:
    device = Device("GPU\x1b", capability)
    finding = judged(TorchReport("2.13.0", "13.0", True, (device,), BUILT[:-1]))
    assert finding.level is Level.ERROR
    assert finding.where == "GPU\\x1b"
    assert f"is sm_{capability[0]}{capability[1]}, for which torch 2.13.0" in finding.what
    assert advice in finding.remedy


def test_a_gpu_of_another_make_is_taken_at_its_word() -> None:
    device = Device("AMD", (9, 4))
    assert judged(TorchReport("2.13.0+rocm7", None, True, (device,), ("gfx942",))).level == "ok"


@pytest.mark.parametrize(
    ("cuda", "driver", "wanted", "level", "words"),
    [
        (None, False, False, Level.NOTE, "on the CPU"),
        (None, True, False, Level.WARNING, "without CUDA, though an NVIDIA driver is here"),
        (None, False, True, Level.ERROR, "without CUDA"),
        ("13.0", False, False, Level.NOTE, "on the CPU"),
        ("13.0", True, False, Level.ERROR, "finds no GPU, though"),
        ("13.0", False, True, Level.ERROR, "the configuration asks for one"),
    ],
)
def test_no_gpu_is_judged_by_the_driver_and_by_what_is_wanted(
    cuda: str | None, driver: bool, wanted: bool, level: Level, words: str
) -> None:
    finding = judged(TorchReport("2.13.0", cuda, False), driver=driver, wanted=wanted)
    assert finding.level is level
    assert words in finding.what


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch is not installed")
def test_torch_is_asked_in_a_process_of_its_own() -> None:
    code = (
        "import sys; from spool.checks.gpu import ask_torch; "
        "print(ask_torch().torch, 'torch' in sys.modules)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    version, imported = answer.stdout.split()
    assert version[0].isdigit()
    assert imported == "False"


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ("raise ImportError('libcudart.so.13: no such file')", "libcudart.so.13"),
        ("print('nonsense')", "cannot be imported"),
        ("import time; time.sleep(9)", "did not answer"),
    ],
)
def test_a_torch_that_does_not_answer_is_a_finding(
    spool: Spool, monkeypatch: pytest.MonkeyPatch, question: str, words: str
) -> None:
    monkeypatch.setattr(gpu, "_QUESTION", question)
    monkeypatch.setattr(gpu, "ASK_SECONDS", 1.0)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    (finding,) = gpu.gpu(spool, Settings())
    assert finding.is_fault
    assert words in finding.what


def test_no_torch_is_only_noted(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    (finding,) = gpu.gpu(spool, Settings())
    assert finding.level is Level.NOTE


def test_the_answer_of_torch_is_read_behind_whatever_else_is_printed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answer = (
        '{"torch": "2", "cuda": "13.0", "available": true, "devices": [["H100", [9, 0]]], '
        '"architectures": ["sm_90"]}'
    )
    monkeypatch.setattr(gpu, "_QUESTION", f"print('a warning'); print('''{answer}''')")
    assert ask_torch().devices == (Device("H100", (9, 0)),)
