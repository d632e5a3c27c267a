"""`genzo doctor`: what is wrong with the spool and the machine, the worst first."""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import asdict

from spool.checks.findings import Finding, Level, error
from spool.cli.places import act_as_owner, spool_directory
from spool.diagnosis import diagnose
from spool.problems import SpoolError
from spool.settings import Settings, default_spool, load

_ORDER = list(Level)


def doctor(arguments: argparse.Namespace) -> int:
    """Print every finding; status 1 if there is an error or a warning."""
    findings: list[Finding] = []
    try:
        settings = load(getattr(arguments, "config", None))
        directory = spool_directory(arguments)
    except SpoolError as problem:
        findings.append(error("configuration", str(problem), "the defaults are used meanwhile"))
        settings = Settings()
        directory = getattr(arguments, "spool", None) or default_spool()
    if os.path.isdir(directory):
        act_as_owner(directory)
    findings += diagnose(directory, settings, gpus=not arguments.no_gpu)
    findings.sort(key=lambda finding: _ORDER.index(finding.level))
    faulty = any(finding.is_fault for finding in findings)
    if arguments.json:
        shown = [asdict(finding) for finding in findings]
        print(json.dumps({"ok": not faulty, "findings": shown}, ensure_ascii=False, indent=1))
    else:
        for finding in findings:
            _print(finding)
    return int(faulty)


def _print(finding: Finding) -> None:
    print(f"{finding.level:<8} {finding.where}: {finding.what}")
    if finding.remedy:
        print(f"{'':<8} -> {finding.remedy}")
