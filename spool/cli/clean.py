"""`genzo clean`: remove what is older than the configuration's [keep] says."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict

from rich.filesize import decimal

from spool import settings
from spool.cli.places import open_spool
from spool.housekeeping import Cleaned
from spool.housekeeping import clean as clean_spool


def clean(arguments: argparse.Namespace) -> int:
    """Print a line for each kind of thing; status 1 if something could not be removed."""
    keep = settings.load(getattr(arguments, "config", None)).keep
    cleaned = clean_spool(open_spool(arguments), keep, dry_run=arguments.dry_run)
    if arguments.json:
        print(json.dumps({"dry_run": arguments.dry_run, **asdict(cleaned)}, indent=1))
    else:
        _print(cleaned, dry_run=arguments.dry_run)
    for obstacle in cleaned.obstacles:
        print(f"genzo: {obstacle}", file=sys.stderr)
    return int(bool(cleaned.obstacles))


def _print(cleaned: Cleaned, *, dry_run: bool) -> None:
    would = "would be " if dry_run else ""
    for tally in cleaned.tallies:
        files = f"{tally.files} file{'' if tally.files == 1 else 's'}"
        freed = decimal(tally.bytes)
        print(f"{tally.kind:<9} {files:>12} {would}removed, {freed} {would}freed")
