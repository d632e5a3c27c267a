"""`genzo queue` and `genzo show`: what is known of jobs, for people and as JSON."""

from __future__ import annotations

import argparse
import json
import shutil
import sys

from spool.cli.places import open_spool
from spool.gallery import PictureName
from spool.layout import Spool
from spool.outlook import Outlook
from spool.states import Status
from spool.views import JobView, job_view, unfinished_jobs


def queue(arguments: argparse.Namespace) -> int:
    """Print the unfinished jobs, one a line: place, id, status, progress, time left, prompt."""
    spool = open_spool(arguments)
    jobs = list(map(Outlook(spool).seen, unfinished_jobs(spool)))
    if arguments.json:
        print(json.dumps([job.as_json() for job in jobs], ensure_ascii=False, indent=1))
        return 0
    if not jobs:
        print("The queue is empty.", file=sys.stderr)
    width = shutil.get_terminal_size((120, 24)).columns if sys.stdout.isatty() else 10_000
    for job in jobs:
        place = "-" if job.queue_position is None else str(job.queue_position)
        line = f"{place:>4}  {job.job_id}  {_progress(job):<17}  {_eta(job):>7}  {_one_line(job)}"
        print(line[:width])
    return 0


def show(arguments: argparse.Namespace) -> int:
    """Print one job; status 1 if there is none of that id."""
    spool = open_spool(arguments)
    job = job_view(spool, arguments.job_id)
    if job is None:
        print(f"genzo: no job {arguments.job_id} in {spool.root}", file=sys.stderr)
        return 1
    job = Outlook(spool).seen(job)
    if arguments.json:
        print(json.dumps(job.as_json(), ensure_ascii=False, indent=1))
        return 0
    for name, value in _facts(spool, job):
        print(f"{name:<16}{value}")
    return 0


def _progress(job: JobView) -> str:
    if job.status is Status.PROCESSING and job.total_steps:
        return f"{job.status} {job.step}/{job.total_steps}"
    return job.status


def _eta(job: JobView) -> str:
    """How long until it is finished, such as `4 min`; `-` if nobody knows."""
    if job.eta_seconds is None:
        return "-"
    if job.eta_seconds < 99:
        return f"{job.eta_seconds:.0f} s"
    minutes = job.eta_seconds / 60
    return f"{minutes:.0f} min" if minutes < 99 else f"{minutes / 60:.0f} h"


def _one_line(job: JobView) -> str:
    """The job's name or prompt, safe for a terminal."""
    text = str(job.request.get("name") or job.request.get("prompt", ""))
    return "".join(c if c.isprintable() else " " for c in text)


def _facts(spool: Spool, job: JobView) -> list[tuple[str, object]]:
    facts: list[tuple[str, object]] = [("job", job.job_id), ("status", _progress(job))]
    if job.queue_position is not None:
        facts.append(("queue position", job.queue_position))
    if job.eta_seconds is not None:
        facts.append(("finished in", f"about {_eta(job)}"))
    facts.append(("prompt", _one_line(job)))
    details = job.job or {}
    for name in ("model", "width", "height", "steps", "guidance_scale", "sampler", "count"):
        if name in details:
            facts.append((name.replace("_", " "), details[name]))
    facts += [("seed", job.seed), ("created", job.created_at)]
    if job.started_at:
        facts.append(("started", job.started_at))
    if job.finished_at:
        facts.append(("finished", job.finished_at))
    if job.error:
        facts.append(("error", job.error["detail"]))
    for image in job.images:
        picture = PictureName.parse(image["filename"])
        if picture is not None:
            facts.append(("picture", picture.picture(spool)))
    return facts
