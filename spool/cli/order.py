"""`genzo cancel`, `hold`, `release` and `retry`: a verb for each of some jobs.

Without write permission on work/ the order is dropped into incoming/, where intake obeys it if
the job is ours.
"""

from __future__ import annotations

import argparse
import sys

from spool.cli.dropping import drop, may_write
from spool.cli.places import open_spool
from spool.control import Verb, command
from spool.layout import Spool
from spool.problems import Problem
from spool.states import Status
from spool.views import job_view


def order(arguments: argparse.Namespace, verb: Verb) -> int:
    """Do `verb` to each job, one line each; status 1 if one of them refused it."""
    spool = open_spool(arguments)
    status = 0
    for job_id in arguments.job_ids:
        try:
            print(_obey(spool, verb, job_id) if may_write(spool) else _drop(spool, verb, job_id))
        except Problem as problem:
            print(f"genzo: {problem}", file=sys.stderr)
            status = 1
    return status


def _obey(spool: Spool, verb: Verb, job_id: str) -> str:
    answer = command(spool, verb, job_id)
    if verb is Verb.RETRY:
        return f"{answer.job_id} {answer.status} (again what {job_id} was)"
    stops = verb is Verb.CANCEL and answer.status is Status.PROCESSING
    return f"{job_id} {answer.status}" + (" (asked to stop at its next step)" if stops else "")


def _drop(spool: Spool, verb: Verb, job_id: str) -> str:
    view = job_view(spool, job_id)
    if view is None:
        raise Problem("No such job", f"there is no job {job_id!r} in {spool.root}", status=404)
    drop(spool, f"{job_id}.{verb}", b"")
    return f"{job_id} {view.status} (order dropped: {verb})"
