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
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)


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

    One range is answered with 206; several are answered with the whole file, as RFC 9110 allows.
    """
    file = await run_in_threadpool(open_regular, path)
    if file is None:
        return None
    status = os.fstat(file.fileno())
    size = status.st_size
    headers = {
        "ETag": f'"{status.st_mtime_ns:x}-{size:x}"',
        "Cache-Control": IMMUTABLE,
        "Accept-Ranges": "bytes",
        "X-Content-Type-Options": "nosniff",
    }
    if _matches(request.headers.get("if-none-match"), headers["ETag"]):
        file.close()
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    begin, end, code = 0, size, HTTPStatus.OK
    wanted = _asked_range(request, headers["ETag"], size)
    if wanted is not None:
        begin, end = wanted
        if begin >= end:
            file.close()
            return _not_satisfiable(request.headers["range"], size)
        code = HTTPStatus.PARTIAL_CONTENT
        headers["Content-Range"] = f"bytes {begin}-{end - 1}/{size}"
    headers["Content-Length"] = str(end - begin)
    if request.method == "HEAD":
        file.close()
        return Response(status_code=code, headers=headers, media_type=media_type)
    return StreamingResponse(_chunks(file, begin, end), code, headers, media_type)


async def _chunks(file: FileIO, begin: int, end: int) -> AsyncIterator[bytes]:
    with file:
        while begin < end:
            wanted = min(CHUNK_BYTES, end - begin)
            chunk = await run_in_threadpool(os.pread, file.fileno(), wanted, begin)
            if not chunk:
                raise OSError(f"the file ended {end - begin} bytes early")
            begin += len(chunk)
            yield chunk


def _matches(header: str | None, etag: str) -> bool:
    """Whether an If-None-Match header names `etag`; weak ones compare equal here."""
    if header is None:
        return False
    tags = [tag.strip().removeprefix("W/") for tag in header.split(",")]
    return "*" in tags or etag in tags


def _asked_range(request: Request, etag: str, size: int) -> tuple[int, int] | None:
    """The bytes asked for, from and to; None for all of them, an empty range if there are none."""
    header = request.headers.get("range")
    match = _RANGE.fullmatch(header.replace(" ", "")) if header else None
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
