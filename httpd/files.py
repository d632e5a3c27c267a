"""Sending a published file, which never changes: validators, ranges, no link followed."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from http import HTTPStatus
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

from httpd.refusals import problem_response
from spool.problems import Problem

if TYPE_CHECKING:
    from starlette.requests import Request

CHUNK_BYTES = 256 * 1024
IMMUTABLE = "private, max-age=31536000, immutable"

_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII | re.IGNORECASE)


def open_regular(path: Path) -> FileIO | None:
    """Open `path`, DAY/HOUR/NAME in a tree of shards, for reading.

    None if it is missing or no regular file, or if one of these three is a link. What is above
    them the spool's owner may have linked elsewhere.
    """
    with suppress(OSError):
        descriptor = _open_beneath(path.parents[2], path.parts[-3:])
        # First of all, since FileIO refuses a folder's descriptor without closing it.
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            return FileIO(descriptor)
        os.close(descriptor)
    return None


def _open_beneath(root: Path, parts: Sequence[str]) -> int:
    """A descriptor of the file at `parts` below `root`, opened name by name through no link."""
    folder = os.open(root, _FOLDER)
    try:
        for name in parts[:-1]:
            below = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=folder)
            os.close(folder)
            folder = below
        return os.open(parts[-1], _FILE, dir_fd=folder)
    finally:
        os.close(folder)


async def send_file(request: Request, path: Path, media_type: str) -> Response | None:
    """The file at `path`, or the part that was asked for; None if there is no such file.

    As RFC 9110 has it: If-Match, then If-None-Match; a Range of GET alone, and only if If-Range
    names this file. One range is answered with 206, several with the whole file (section 14.2).
    """
    opened = await run_in_threadpool(_open, path)
    if opened is None:
        return None
    file, whole = opened
    status = os.fstat(file.fileno())
    size, etag = status.st_size, f'"{status.st_mtime_ns:x}-{status.st_size:x}"'
    headers = {
        "ETag": etag,
        "Cache-Control": IMMUTABLE,
        "Accept-Ranges": "bytes",
        "X-Content-Type-Options": "nosniff",
    }
    refusal = _precondition(request, headers)
    begin, end, code = 0, size, HTTPStatus.OK
    wanted = _asked_range(request, etag, size)
    if refusal is None and wanted is not None:
        begin, end = wanted
        code = HTTPStatus.PARTIAL_CONTENT
        headers["Content-Range"] = f"bytes {begin}-{end - 1}/{size}"
        if begin >= end:
            refusal = _not_satisfiable(request.headers["range"], size)
    headers["Content-Length"] = str(end - begin)
    if refusal is None and request.method != "HEAD" and whole is None:
        return StreamingResponse(_chunks(file, begin, end), code, headers, media_type)
    file.close()
    if refusal is not None:
        return refusal
    content = whole[begin:end] if whole is not None and request.method != "HEAD" else None
    return Response(content, code, headers, media_type)


def _open(path: Path) -> tuple[FileIO, bytes | None] | None:
    """The file at `path`, and all of it if it is small, as thumbnails are."""
    file = open_regular(path)
    if file is None:
        return None
    size = os.fstat(file.fileno()).st_size
    return file, file.read(size) if size <= CHUNK_BYTES else None


async def _chunks(file: FileIO, begin: int, end: int) -> AsyncIterator[bytes]:
    with file:
        while begin < end:
            wanted = min(CHUNK_BYTES, end - begin)
            chunk = await run_in_threadpool(os.pread, file.fileno(), wanted, begin)
            if not chunk:
                raise OSError(f"the file ended {end - begin} bytes early")
            begin += len(chunk)
            yield chunk


def _precondition(request: Request, headers: dict[str, str]) -> Response | None:
    """The answer in place of the file, if the request's conditions ask for one."""
    etag = headers["ETag"]
    wanted = request.headers.get("if-match")
    if wanted is not None and not _names(wanted, etag, strongly=True):
        status = HTTPStatus.PRECONDITION_FAILED
        detail = f"If-Match: the file is {etag}, not {wanted[:100]}"
        return problem_response(Problem(status.phrase, detail, status=status), {"ETag": etag})
    known = request.headers.get("if-none-match")
    if known is not None and _names(known, etag, strongly=False):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    return None


def _names(header: str, etag: str, *, strongly: bool) -> bool:
    """Whether a list of entity tags names `etag`; weak ones are equal to it only weakly."""
    if header.strip() == "*":
        return True
    tags = [tag.strip() for tag in header.split(",")]
    return etag in tags or (not strongly and f"W/{etag}" in tags)


def _asked_range(request: Request, etag: str, size: int) -> tuple[int, int] | None:
    """The bytes asked for, from and to; None for all of them, an empty range if there are none."""
    header = request.headers.get("range")
    match = _RANGE.fullmatch(header.strip()) if header and request.method == "GET" else None
    if match is None or request.headers.get("if-range", etag) != etag:
        return None
    first, last = match.groups()
    if first == "":
        return None if last == "" else (max(0, size - int(last)), size)
    if last == "":
        return int(first), size
    return None if int(last) < int(first) else (int(first), min(int(last) + 1, size))


def _not_satisfiable(asked: str, size: int) -> Response:
    status = HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
    detail = f"the file has {size} bytes; {asked[:100]!r} is not among them"
    return problem_response(
        Problem(status.phrase, detail, status=status), {"Content-Range": f"bytes */{size}"}
    )
