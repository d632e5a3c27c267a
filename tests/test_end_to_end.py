"""The whole of genzo: real processes, real files, real sockets, the embedded model."""

from __future__ import annotations

import base64
import http.client
import io
import json
import os
import shutil
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageStat

from httpd.examples import REQUESTS
from spool.layout import Spool
from spool.states import Status, job_ids_with_tickets
from spool.views import JobView, job_view
from tests.services import running_daemon, running_httpd, start_daemon, stop, wait_for

QUICK = {"prompt": "a red circle on a white background", "steps": 4, "width": 64, "height": 64}


@dataclass(frozen=True)
class Genzo:
    """A running daemon and server on one spool."""

    spool: Spool
    port: int

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=30) as answer:
            return json.load(answer)

    def post(self, job: dict[str, Any]) -> str:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/api/generate",
            json.dumps(job).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return str(json.load(answer)["job_id"])

    def finished(self, job_id: str) -> JobView:
        return wait_for_end(self.spool, job_id)


def wait_for_end(spool: Spool, job_id: str) -> JobView:
    def ended() -> bool:
        view = job_view(spool, job_id)
        return view is not None and view.status.is_final

    wait_for(ended, seconds=120, what=f"the end of {job_id}")
    view = job_view(spool, job_id)
    assert view is not None
    return view


def picture(spool: Spool, job_id: str, index: int = 0) -> bytes:
    (path,) = spool.gallery.glob(f"*/*/{job_id}-{index}.png")
    return path.read_bytes()


def pixels(png: bytes) -> bytes:
    return Image.open(io.BytesIO(png)).convert("RGB").tobytes()


def colour_at(image: Image.Image, x: int, y: int) -> tuple[float, ...]:
    """The mean colour of the 32 px square around (x, y)."""
    return tuple(ImageStat.Stat(image.crop((x - 16, y - 16, x + 16, y + 16))).mean)


def jobs_dropped_as(spool: Spool, name: str) -> list[str]:
    """The ids under outgoing/ of what was dropped as `name`.json."""
    folder = spool.outgoing / name
    return sorted(path.parent.name for path in folder.glob("*/result.json"))


@pytest.fixture(scope="module")
def genzo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Genzo]:
    spool = Spool.create(tmp_path_factory.mktemp("genzo") / "spool")
    with running_daemon(spool), running_httpd(spool) as port:
        yield Genzo(spool, port)


def test_a_posted_prompt_becomes_a_picture_that_shows_it(genzo: Genzo) -> None:
    job_id = genzo.post({"prompt": "a red circle on a white background", "seed": 42})
    view = genzo.finished(job_id)
    assert view.status is Status.COMPLETED
    (entry,) = [i for i in genzo.get("/api/images")["images"] if i["job_id"] == job_id]
    with urllib.request.urlopen(f"http://127.0.0.1:{genzo.port}{entry['url']}") as answer:
        image = Image.open(io.BytesIO(answer.read())).convert("RGB")
    assert image.size == (256, 256)
    red, green, blue = colour_at(image, 128, 128)
    assert red > 180
    assert max(green, blue) < 90
    assert min(colour_at(image, 16, 16)) > 180
    assert entry["metadata"]["prompt"] == "a red circle on a white background"
    assert entry["metadata"]["seed"] == 42


def test_the_guide_s_lora_request_runs_as_it_stands_and_shows_the_style(genzo: Genzo) -> None:
    wanted = {**REQUESTS["LoRA"], "seed": 3}
    (used,) = wanted["loras"]
    (lora,) = genzo.get("/api/info")["available_loras"]
    assert (lora["id"], lora["trigger_words"]) == (used["id"], ["blueprint"])
    ways = {"styled": [used], "plain": [], "silent": [{**used, "weight": 0}]}
    ids = {name: genzo.post({**wanted, "loras": loras}) for name, loras in ways.items()}
    pngs = {}
    for name, job_id in ids.items():
        assert genzo.finished(job_id).status is Status.COMPLETED
        pngs[name] = picture(genzo.spool, job_id)
    assert pixels(pngs["silent"]) == pixels(pngs["plain"])
    # The paper of a blueprint, in whose colour no corner of the plain picture is.
    corners = [(16, 16), (240, 16), (16, 240), (240, 240)]
    for name, bluish in (("styled", True), ("plain", False)):
        image = Image.open(io.BytesIO(pngs[name])).convert("RGB")
        seen = [colour_at(image, *corner) for corner in corners]
        dark_blue = [blue > red + 60 and red < 100 for red, _, blue in seen]
        assert all(dark_blue) if bluish else not any(dark_blue), seen


def test_each_way_of_dropping_a_file_makes_one_job(genzo: Genzo, tmp_path: Path) -> None:
    ways = {}
    for seed, way in enumerate(("mv", "cp", "scp", "rsync", "slow"), start=1):
        ways[way] = tmp_path / f"by-{way}.json"
        ways[way].write_text(json.dumps({**QUICK, "seed": seed}))
    incoming = genzo.spool.incoming
    subprocess.run(["mv", ways["mv"], incoming], check=True)
    subprocess.run(["cp", ways["cp"], incoming], check=True)
    if shutil.which("scp"):
        subprocess.run(["scp", "-q", ways["scp"], incoming], check=True)
    else:
        shutil.copy(ways["scp"], incoming)
    folder = tmp_path / "jobs"
    folder.mkdir()
    ways["rsync"].rename(folder / "by-rsync.json")
    rsync = ["rsync", "-rt", "--omit-dir-times", f"{folder}/", f"{incoming}/"]
    subprocess.run(rsync, check=True)
    text = ways["slow"].read_text()
    with (incoming / "by-slow.json").open("w") as file:
        file.write(text[:40])
        file.flush()
        time.sleep(2)  # the half file is still for as long as a whole one needs to be
        file.write(text[40:])
    for way in ways:
        wait_for(partial(jobs_dropped_as, genzo.spool, f"by-{way}"), what=way)
    subprocess.run(rsync, check=True)
    wait_for(lambda: not any(incoming.iterdir()), what="the drop box to be empty")
    assert not job_ids_with_tickets(genzo.spool)
    for way in ways:
        (job_id,) = jobs_dropped_as(genzo.spool, f"by-{way}")
        assert genzo.finished(job_id).status is Status.COMPLETED


def test_a_file_that_is_no_job_is_rejected_with_its_reason(genzo: Genzo, tmp_path: Path) -> None:
    drop = tmp_path / "typo.json"
    drop.write_text('{"prompt": "x", "widht": 100}')
    drop.rename(genzo.spool.incoming / drop.name)
    problem = genzo.spool.rejected / "typo.json.problem.json"
    wait_for(problem.exists)
    assert "widht" in json.loads(problem.read_text())["detail"]
    assert (genzo.spool.rejected / "typo.json").exists()


def test_the_stream_shows_steps_and_previews_of_a_running_job(genzo: Genzo) -> None:
    job_id = genzo.post({"prompt": "three red apples on a white background", "steps": 60})
    connection = http.client.HTTPConnection("127.0.0.1", genzo.port, timeout=60)
    connection.request("GET", f"/api/sse/{job_id}")
    text = connection.getresponse().read().decode()
    events = [json.loads(line[5:]) for line in text.splitlines() if line.startswith("data:")]
    steps = [event["step"] for event in events if event["status"] == "processing"]
    assert steps == sorted(steps)
    assert events[-1]["status"] == "completed"
    assert {event["total_steps"] for event in events if event.get("step")} == {60}
    previews = [event["preview"] for event in events if event.get("preview")]
    assert previews
    head, _, data = previews[-1].partition(",")
    assert head == "data:image/jpeg;base64"
    assert Image.open(io.BytesIO(base64.b64decode(data))).size == (256, 256)


def test_a_count_of_four_is_four_single_pictures(genzo: Genzo) -> None:
    four = genzo.post({**QUICK, "seed": 70, "count": 4})
    single = genzo.post({**QUICK, "seed": 72})
    assert [image["seed"] for image in genzo.finished(four).images] == [70, 71, 72, 73]
    genzo.finished(single)
    assert pixels(picture(genzo.spool, four, 2)) == pixels(picture(genzo.spool, single))


def test_a_running_job_is_cancelled_within_steps_and_the_next_is_unharmed(genzo: Genzo) -> None:
    before = genzo.post({**QUICK, "seed": 5})
    running = genzo.post({"prompt": "x", "steps": 200})
    after = genzo.post({**QUICK, "seed": 5})
    wait_for(lambda: (v := job_view(genzo.spool, running)) and v.step > 2, what="some steps")
    request = urllib.request.Request(
        f"http://127.0.0.1:{genzo.port}/api/jobs/{running}", method="DELETE"
    )
    urllib.request.urlopen(request, timeout=30).close()
    view = genzo.finished(running)
    assert view.status is Status.CANCELLED
    assert 0 < view.step < 200
    genzo.finished(after)
    assert pixels(picture(genzo.spool, before)) == pixels(picture(genzo.spool, after))


def test_a_killed_daemon_s_job_completes_once_with_the_same_picture(tmp_path: Path) -> None:
    spool = Spool.create(tmp_path / "spool")
    job = {"prompt": "a big blue star on a yellow background", "seed": 9, "steps": 40}
    daemon = start_daemon(spool)
    try:
        (spool.tmp / "x").write_text(json.dumps(job))
        (spool.tmp / "x").rename(spool.incoming / "undisturbed.json")
        wait_for(lambda: jobs_dropped_as(spool, "undisturbed"), seconds=120)
        (spool.tmp / "x").write_text(json.dumps(job))
        (spool.tmp / "x").rename(spool.incoming / "killed.json")
        wait_for(lambda: any(v > 5 for v in _steps_of_running(spool)), what="a few steps")
        os.kill(daemon.pid, signal.SIGKILL)
        daemon.wait()
        assert len(job_ids_with_tickets(spool)) == 1
        daemon = start_daemon(spool)
        wait_for(lambda: jobs_dropped_as(spool, "killed"), seconds=120)
        assert stop(daemon) == 0
    finally:
        if daemon.poll() is None:
            daemon.kill()
            daemon.wait()
    (undisturbed,) = jobs_dropped_as(spool, "undisturbed")
    (killed,) = jobs_dropped_as(spool, "killed")
    view = job_view(spool, killed)
    assert view is not None
    assert (view.status, view.starts, len(view.images)) == (Status.COMPLETED, 2, 1)
    assert pixels(picture(spool, killed)) == pixels(picture(spool, undisturbed))
    assert len(list(spool.gallery.glob("*/*/*.png"))) == 2


def test_a_job_killed_in_one_format_goes_on_in_another_and_shows_nothing_twice(
    tmp_path: Path,
) -> None:
    spool = Spool.create(tmp_path / "spool")
    config = tmp_path / "genzo.toml"
    config.write_text('[output]\nformat = "webp"\n')
    daemon = start_daemon(spool, "--config", str(config))
    try:
        (spool.tmp / "x").write_text(json.dumps({**QUICK, "steps": 60, "count": 3}))
        (spool.tmp / "x").rename(spool.incoming / "three.json")
        wait_for(lambda: any(spool.gallery.glob("*/*/*-0.webp")), what="the first picture")
        os.kill(daemon.pid, signal.SIGKILL)
        daemon.wait()
        config.write_text('[output]\nformat = "jpeg"\nquality = 95\n')
        daemon = start_daemon(spool, "--config", str(config))
        wait_for(lambda: jobs_dropped_as(spool, "three"), seconds=120)
        with running_httpd(spool) as port:
            genzo = Genzo(spool, port)
            listed = genzo.get("/api/images")["images"]
            assert genzo.get("/api/info")["output_format"] == "jpeg"
        assert stop(daemon) == 0
    finally:
        if daemon.poll() is None:
            daemon.kill()
            daemon.wait()
    (job_id,) = jobs_dropped_as(spool, "three")
    view = job_view(spool, job_id)
    assert view is not None
    names = [image["filename"] for image in view.images]
    assert [image["filename"] for image in listed] == names[::-1]
    assert names[0] == f"{job_id}-0.webp"
    assert names[2] == f"{job_id}-2.jpg"
    folder = spool.outgoing / "three" / job_id
    subprocess.run(["sha256sum", "--check", "SHA256SUMS"], cwd=folder, check=True)
    assert sorted(path.name for path in folder.iterdir() if job_id in path.name) == names


def test_a_daemon_asked_to_end_puts_its_job_back_uncounted(tmp_path: Path) -> None:
    spool = Spool.create(tmp_path / "spool")
    with running_daemon(spool) as daemon:
        (spool.tmp / "x").write_text(json.dumps({"prompt": "x", "steps": 200}))
        (spool.tmp / "x").rename(spool.incoming / "long.json")
        wait_for(lambda: any(v > 1 for v in _steps_of_running(spool)), what="a few steps")
        assert stop(daemon) == 0
    (ticket,) = spool.queued.iterdir()
    assert ticket.name.endswith(".0.json")


def _steps_of_running(spool: Spool) -> list[int]:
    views = [job_view(spool, job_id) for job_id in job_ids_with_tickets(spool)]
    return [view.step for view in views if view is not None]
