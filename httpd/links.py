"""The addresses under which things are served, as paths of this server."""

from __future__ import annotations


def job_links(job_id: str) -> dict[str, str]:
    """Where to ask for a job's state, and where to listen to it."""
    return {"status_url": f"/api/jobs/{job_id}", "sse_url": f"/api/sse/{job_id}"}


def image_links(filename: str) -> dict[str, str]:
    """Where to fetch a picture and its thumbnail."""
    return {"url": f"/api/images/{filename}", "thumbnail_url": f"/api/thumbs/{filename}"}
