"""outgoing/: where an rsync fetches what became of a dropped file.

    outgoing/<drop name>/<job_id>/   pictures, SHA256SUMS, and last of all result.json
    outgoing/<drop name>/problem.json    why the file was refused, until it is accepted

No component of <drop name> ends in `.json`, and none in a sub-folder is named like a job (of a
file that is so named, only rejected/ says that it was refused): so no stranger's name can lie
where another's results belong.
"""

from __future__ import annotations

import contextlib
import functools
import json
import logging
from pathlib import Path, PurePath

from spool import durable
from spool.gallery import PictureName
from spool.ids import is_job_id
from spool.layout import Spool
from spool.problems import Problem
from spool.records import Record
from spool.rejections import report

log = logging.getLogger(__name__)

PROBLEM = "problem.json"
RESULT = "result.json"


def outgoing_name(drop_name: str) -> PurePath:
    """The folder below outgoing/ of a dropped file: its path without any `.json`."""
    return PurePath(*(_without_suffix(part) for part in PurePath(drop_name).parts))


def is_reserved(drop_name: PurePath) -> bool:
    """Whether the folder of a dropped file would lie in that of another's results."""
    folders = outgoing_name(str(drop_name)).parts
    return len(folders) > 1 and any(map(is_job_id, folders))


def deliver(spool: Spool, record: Record, drop_name: str) -> None:
    """Lay the result of a dropped job where an rsync fetches it; may be repeated after a crash."""
    folder = spool.outgoing / outgoing_name(drop_name) / record.job_id
    if not (folder / RESULT).exists():
        lay = functools.partial(_lay_out, spool, record, folder)
        durable.within_directory(folder, lay, within=spool.outgoing)
    # Also where it exists: whoever laid it there may have died before its name was durable.
    durable.sync_directories(folder)


def _lay_out(spool: Spool, record: Record, folder: Path) -> None:
    scratch = _scratch(spool, folder)
    sums = ""
    for image in record.images:
        name = PictureName.parse(image.filename)
        if name is None or not name.picture(spool).exists():
            log.warning("%s: was removed before it could be delivered", image.filename)
            continue
        durable.link_or_copy(name.picture(spool), folder / image.filename, scratch=scratch)
        sums += f"{image.sha256}  {image.filename}\n"
    if sums:
        _lay(folder / "SHA256SUMS", sums.encode(), scratch)
    if record.error is not None:
        _lay(folder / PROBLEM, _encode(record.error), scratch)
    # A power cut must not leave result.json without what it names.
    durable.sync_directories(folder)
    durable.link_or_copy(spool.record(record.job_id), folder / RESULT, scratch=scratch)


def deliver_problem(spool: Spool, drop_name: str, problem: Problem) -> None:
    """Say there why a dropped file was refused, in place of an earlier reason."""
    if is_reserved(PurePath(drop_name)):
        return
    folder = spool.outgoing / outgoing_name(drop_name)
    text = report(problem, drop_name)

    def lay() -> None:
        durable.replace(folder / PROBLEM, text, scratch=_scratch(spool, folder))

    durable.within_directory(folder, lay, within=spool.outgoing)


def withdraw_problem(spool: Spool, drop_name: str) -> None:
    """Remove the reason of an earlier refusal: the file was mended and is taken."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        (spool.outgoing / outgoing_name(drop_name) / PROBLEM).unlink()


def _lay(path: Path, data: bytes, scratch: Path) -> None:
    with durable.scratch_file(scratch, data, durable=True) as temporary:
        durable.link(temporary, path)


def _without_suffix(part: str) -> str:
    while part.lower().endswith(".json") and len(part) > len(".json"):
        part = part[: -len(".json")]
    return part


def _scratch(spool: Spool, folder: Path) -> Path:
    # outgoing/ may be another file system, to which nothing in tmp/ can be linked.
    return spool.tmp if folder.stat().st_dev == spool.tmp.stat().st_dev else folder


def _encode(document: object) -> bytes:
    return json.dumps(document, ensure_ascii=False, indent=1).encode() + b"\n"
