"""The gallery's pages."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from PIL import Image
from starlette.testclient import TestClient

from httpd.application import create_application
from httpd.bodies import PictureList
from spool import ids
from spool.gallery import PictureName
from spool.picture_files import PictureFormat
from tests.httpd.conftest import Served, serving
from tests.httpd.stand_in import LORA, StandIn
from tests.httpd.test_generate import refused

if TYPE_CHECKING:
    import httpx2


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server of a gallery that no other module adds to."""
    with serving(tmp_path_factory.mktemp("gallery") / "spool") as running:
        yield running


@pytest.fixture(scope="module")
def shared_daemon(served: Served) -> Iterator[StandIn]:
    daemon = StandIn(served.spool)
    yield daemon
    daemon.slot.release()


@pytest.fixture(scope="module")
def pictures(served: Served, shared_daemon: StandIn) -> list[str]:
    """The names of five pictures, the newest first."""
    names = []
    for number in range(5):
        loras = [{"id": LORA, "weight": 0.8}] if number == 4 else []
        job_id = served.submit(f"picture {number}", seed=number, loras=loras, negative_prompt="x")
        names.append(shared_daemon.render(job_id).images[0].filename)
    return names[::-1]


def test_the_list_has_the_newest_first_with_all_that_decided_them(
    client: httpx2.Client, pictures: list[str]
) -> None:
    page = client.get("/api/images").json()
    PictureList.model_validate(page, extra="forbid")
    assert [image["filename"] for image in page["images"]] == pictures
    assert (page["total"], page["limit"], page["offset"], page["next"]) == (5, 50, 0, None)
    newest = page["images"][0]
    assert newest["id"] == pictures[0].removesuffix(".png")
    assert newest["job_id"] == newest["id"].removesuffix("-0")
    assert newest["url"] == f"/api/images/{pictures[0]}"
    assert newest["thumbnail_url"] == f"/api/thumbs/{pictures[0]}"
    assert (newest["width"], newest["height"]) == (32, 24)
    assert newest["created_at"].endswith("Z")
    metadata = newest["metadata"]
    assert (metadata["prompt"], metadata["negative_prompt"]) == ("picture 4", "x")
    assert (metadata["seed"], metadata["steps"], metadata["model"]) == (4, 20, "tiny")
    assert (metadata["sampler"], metadata["guidance_scale"]) == ("euler", 5.0)
    assert metadata["loras"] == [{"id": LORA, "weight": 0.8, "trigger_weight": 0.5}]


def test_pages_follow_each_other_without_gap(client: httpx2.Client, pictures: list[str]) -> None:
    seen: list[str] = []
    url: str | None = "/api/images?limit=2"
    while url is not None:
        response = client.get(url)
        page = response.json()
        seen += [image["filename"] for image in page["images"]]
        url = page["next"]
        assert response.headers.get("link") == (f'<{url}>; rel="next"' if url else None)
    assert seen == pictures


def test_a_page_behind_the_end_is_empty(client: httpx2.Client, pictures: list[str]) -> None:
    page = client.get("/api/images?offset=1000").json()
    assert (page["images"], page["total"], page["next"]) == ([], 5, None)


def test_cursors_follow_each_other_without_gap(client: httpx2.Client, pictures: list[str]) -> None:
    seen: list[str] = []
    query: dict[str, str | int] = {"limit": 2}
    while True:
        page = client.get("/api/images", params=query).json()
        assert (page["total"], page["offset"]) == (5, 0)
        seen += [image["filename"] for image in page["images"]]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
    assert seen == pictures
    assert page["next"] is None


def test_who_came_by_a_cursor_is_led_on_by_one(client: httpx2.Client, pictures: list[str]) -> None:
    query: dict[str, str | int] = {
        "limit": 1,
        "q": "picture",
        "model": "tiny",
        "since": "2020-01-01",
    }
    seen = []
    page = client.get("/api/images", params=query).json()
    url = f"{page['next']}&cursor={page['next_cursor']}".replace("&offset=1", "")
    while url is not None:
        response = client.get(url)
        page = response.json()
        seen += [image["filename"] for image in page["images"]]
        url = page["next"]
        assert response.headers.get("link") == (f'<{url}>; rel="next"' if url else None)
    assert seen == pictures[1:]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"q": "picture 3"}, [1]),
        ({"q": "PICT"}, [0, 1, 2, 3, 4]),
        ({"q": "x"}, []),  # the negative prompt of each
        ({"q": "  "}, [0, 1, 2, 3, 4]),
        ({"q": '"*'}, []),
        ({"q": "NEAR("}, []),
        ({"q": "\0picture"}, [0, 1, 2, 3, 4]),
        ({"model": "tiny"}, [0, 1, 2, 3, 4]),
        ({"model": "none"}, []),
        ({"until": "2020-01-01"}, []),
        ({"since": "2020-01-01", "until": "2100-01-01T12:00:00.5+09:00"}, [0, 1, 2, 3, 4]),
        ({"since": "9999-12-31T23:59:59Z"}, []),
        ({"until": "0001-01-01T00:00:00+14:00"}, []),
    ],
)
def test_only_what_is_wanted_is_listed(
    client: httpx2.Client, pictures: list[str], query: dict[str, str], found: list[int]
) -> None:
    page = client.get("/api/images", params=query).json()
    assert [image["filename"] for image in page["images"]] == [pictures[n] for n in found]
    assert page["total"] == len(found)


def test_an_instant_bounds_to_the_millisecond(client: httpx2.Client, pictures: list[str]) -> None:
    at = [ids.created_at(name[:25]) for name in pictures]

    def listed(**query: str) -> list[str]:
        images = client.get("/api/images", params=query).json()["images"]
        return [image["filename"] for image in images]

    assert listed(since=at[1]) == pictures[:2]
    assert listed(until=at[1]) == pictures[2:]
    assert listed(since=at[3], until=at[1]) == pictures[2:4]
    assert listed(since=at[4][:10], until=at[0][:10]) == pictures
    # Without an offset it is UTC; a plus that became a space is one.
    assert listed(since=at[1].removesuffix("Z")) == pictures[:2]
    assert listed(since=at[1].replace("Z", "+00:00")) == pictures[:2]
    assert client.get(f"/api/images?since={at[1].replace('Z', '+00:00')}").json()["total"] == 2


@pytest.mark.parametrize(
    "query",
    [
        "cursor=",
        "cursor=abc",
        "cursor=AAAAAAAAAAAAAAAA%3D",
        "cursor=AAAAAAAAAAAAAAA%2F",
        "since=yesterday",
        "since=",
        "until=2026-13-01",
        "until=2026-11-23T25:00:00Z",
        "since=2026-11-23T12:00:00%2B99:00",
        "since=1700000000",
        "q=" + "a" * 10_000,
        "model=" + "a" * 1000,
    ],
)
def test_a_bad_filter_is_named(client: httpx2.Client, query: str) -> None:
    refused(client.get(f"/api/images?{query}"), 422, query.partition("=")[0])


def test_every_cursor_of_that_shape_is_a_place(client: httpx2.Client, pictures: list[str]) -> None:
    newest, oldest = "_" * 16, "A" * 16
    assert len(client.get(f"/api/images?cursor={newest}").json()["images"]) == 5
    assert client.get(f"/api/images?cursor={oldest}").json()["images"] == []


def test_a_picture_is_removed_with_its_thumbnail_and_its_record_stays(
    served: Served, daemon: StandIn
) -> None:
    name = daemon.render(served.submit("to be removed")).images[0].filename
    for _ in range(2):
        assert served.client.get(f"/api/images/{name}").status_code == 200
    response = served.client.delete(f"/api/images/{name}")
    assert (response.status_code, response.content) == (204, b"")
    for folder in ("images", "thumbs"):
        refused(served.client.get(f"/api/{folder}/{name}"), 404)
    refused(served.client.delete(f"/api/images/{name}"), 404)
    assert name not in served.client.get("/api/images").text
    assert served.client.get("/api/images?q=removed").json()["total"] == 0
    assert served.client.get(f"/api/jobs/{name[:25]}").json()["images"][0]["filename"] == name


def test_a_picture_of_a_job_that_runs_is_not_removed(served: Served, daemon: StandIn) -> None:
    run = daemon.begin(served.submit("running"))
    run.publish()
    refused(served.client.delete(f"/api/images/{run.name}"), 409, "not finished")
    assert served.client.get(f"/api/images/{run.name}").status_code == 200
    run.stop()
    assert served.client.delete(f"/api/images/{run.name}").status_code == 204


def test_a_page_of_another_site_removes_nothing(client: httpx2.Client, pictures: list[str]) -> None:
    url = f"/api/images/{pictures[0]}"
    refused(client.delete(url, headers={"Origin": "https://elsewhere.example"}), 403)
    assert client.get(url).status_code == 200


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=101",
        "limit=x",
        "offset=-1",
        "offset=1000000000001",
        "offset=1.5",
        "limit=%00",
    ],
)
def test_a_bad_parameter_is_named(client: httpx2.Client, query: str) -> None:
    refused(client.get(f"/api/images?{query}"), 422, query.partition("=")[0])


def test_a_picture_of_a_job_that_still_runs_is_described_by_its_ticket(
    served: Served, daemon: StandIn
) -> None:
    job_id = served.submit("still running", seed=9)
    run = daemon.begin(job_id)
    run.publish()
    (image,) = served.client.get("/api/images?limit=1").json()["images"]
    assert (image["metadata"]["prompt"], image["metadata"]["seed"]) == ("still running", 9)
    assert (image["width"], image["height"]) == (32, 24)
    run.name.picture(served.spool).unlink()
    run.stop()


def test_a_picture_outlives_its_record(served: Served, daemon: StandIn) -> None:
    job_id = served.submit("forgotten")
    daemon.render(job_id)
    served.spool.record(job_id).unlink()
    # One that did not see it published, and so remembers nothing of it.
    fresh = TestClient(create_application(served.spool), base_url="http://localhost")
    (image,) = fresh.get("/api/images?limit=1").json()["images"]
    assert (image["job_id"], image["width"], image["metadata"]) == (job_id, 32, {})
    PictureName(job_id, 0).picture(served.spool).unlink()


@pytest.mark.parametrize("each", PictureFormat)
def test_a_picture_of_any_format_is_served_as_what_it_is(
    served: Served, daemon: StandIn, each: PictureFormat
) -> None:
    job_id = served.submit("in some format")
    run = daemon.begin(job_id)
    run.format = each
    run.complete()
    served.spool.record(job_id).unlink()
    fresh = TestClient(create_application(served.spool), base_url="http://localhost")
    (image,) = fresh.get("/api/images?limit=1").json()["images"]
    assert (image["filename"], image["id"]) == (str(run.name), f"{job_id}-0")
    assert (image["width"], image["height"]) == (32, 24)
    full, thumbnail = fresh.get(image["url"]), fresh.get(image["thumbnail_url"])
    assert full.headers["content-type"] == f"image/{each}"
    assert thumbnail.headers["content-type"] == "image/webp"
    assert Image.open(io.BytesIO(full.content)).format == each.upper()
    for other in set(PictureFormat) - {each}:
        refused(fresh.get(f"/api/images/{PictureName(job_id, 0, other)}"), 404)
    run.name.picture(served.spool).unlink()
