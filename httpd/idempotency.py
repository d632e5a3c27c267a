"""Idempotency-Key: the same request sent again under the same key is the same job.

A key lies in seen/ with the ticket it admitted (`spool.acceptance`), so it holds over restarts and
crashes at any line.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING

from httpd.gate import token_name
from spool import acceptance
from spool.jobs import JobRequest
from spool.layout import Spool
from spool.problems import Problem
from spool.tickets import Ticket
from spool.views import job_view

if TYPE_CHECKING:
    from starlette.requests import Request

PATTERN = "^[!-~]([ -~]*[!-~])?$"
"""Printable ASCII; spaces around it are none of a header's value."""

_MAX_CHARS = 255


def key_of(request: Request) -> str | None:
    """The key in seen/ of a request that has an Idempotency-Key; each token has its own.

    Raises Problem (400) if it is not valid.
    """
    key = request.headers.get("idempotency-key")
    if key is None:
        return None
    if len(key) > _MAX_CHARS or re.fullmatch(PATTERN, key) is None:
        raise Problem(
            "Bad Idempotency-Key",
            "Idempotency-Key: use 1 to 255 printable ASCII characters",
            status=HTTPStatus.BAD_REQUEST,
        )
    client = token_name(request)
    return acceptance.key_of("http", key, *([client] if client else []))


def earlier_job(spool: Spool, key: str, asked: JobRequest) -> str | None:
    """The job that was accepted under `key`, or None.

    Raises Problem (422) if it was another request, and Problem (409) if nothing is kept of the
    job: to run it again would break the promise of the key.
    """
    if not acceptance.is_known(spool, key):
        return None
    try:
        ticket = Ticket.decode(acceptance.key_path(spool, key).read_bytes())
    except FileNotFoundError:  # house-keeping has just removed it
        return None
    if ticket.digest != acceptance.digest(asked):
        raise Problem(
            "Idempotency-Key used before",
            f"Idempotency-Key: it belongs to job {ticket.job_id}, whose request differs; "
            "use a new key",
        )
    if not _is_there(spool, ticket.job_id):
        raise Problem(
            "Job cleaned away",
            f"Idempotency-Key: it belongs to job {ticket.job_id}, which is over and whose record "
            "was cleaned away; use a new key to run it again",
            status=HTTPStatus.CONFLICT,
        )
    return ticket.job_id


def _is_there(spool: Spool, job_id: str) -> bool:
    if job_view(spool, job_id) is not None:
        return True
    # A crash, or another request just now, stands between the key and the queue.
    acceptance.recover_admissions(spool)
    return job_view(spool, job_id) is not None
