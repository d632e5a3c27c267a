"""`genzo submit`: a job from arguments or a file, checked and queued on the spot.

Without write permission on work/ the job is dropped into incoming/ under an id of its own, as
any stranger's would be; intake keeps that id.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from spool import settings
from spool.acceptance import Sender, admit, draw_ticket
from spool.catalogue import Catalogue
from spool.cli.dropping import drop, may_write
from spool.cli.places import open_spool
from spool.ids import Clock
from spool.jobs import JobRequest, parse_request
from spool.layout import Spool
from spool.room import require_room
from spool.strict_json import parse

_OPTIONS = (
    "loras",
    "negative_prompt",
    "model",
    "sampler",
    "name",
    "not_before",
    "width",
    "height",
    "steps",
    "seed",
    "count",
    "priority",
    "guidance_scale",
)


def submit(arguments: argparse.Namespace) -> int:
    """Queue the job and print its id alone. Raises Problem if it is refused."""
    request = parse_request(_document(arguments))
    # Read before root gives up being root.
    floor = settings.load(getattr(arguments, "config", None)).disk
    spool = open_spool(arguments)
    if may_write(spool):
        require_room(spool, floor)
        sender = Sender("cli", os.getuid())
        ticket = draw_ticket(spool, request, Catalogue.read(spool), sender)
        admit(spool, ticket)
        print(ticket.job_id)
    else:
        print(_drop(spool, request))
    return 0


def _document(arguments: argparse.Namespace) -> Any:
    if arguments.file is not None:
        document = parse(_read(arguments.file))
    else:
        document = {"prompt": arguments.prompt}
    asked = {name: getattr(arguments, name) for name in _OPTIONS}
    if isinstance(document, dict):
        document |= {name: value for name, value in asked.items() if value is not None}
    return document


def _read(name: str) -> bytes:
    return sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()


def _drop(spool: Spool, request: JobRequest) -> str:
    job_id = Clock().draw()
    text = json.dumps(request.model_dump(mode="json", exclude_unset=True), ensure_ascii=False)
    drop(spool, f"{job_id}.json", text.encode())
    return job_id
