"""The files behind the gallery, and nothing else."""

from __future__ import annotations

import io
import os
import random
import socket
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from httpd.files import CHUNK_BYTES
from spool import ids
from spool.gallery import PictureName
from tests.httpd.conftest import Served
from tests.httpd.shelf_filler import lay
from tests.httpd.stand_in import StandIn
from tests.httpd.test_generate import refused

if TYPE_CHECKING:
    import httpx2


@pytest.fixture(scope="module")
def picture(served: Served, shared_daemon: StandIn) -> str:
    """The name of a picture."""
    return shared_daemon.render(served.submit()).images[0].filename


def test_both_files_are_served_under_the_listed_name(client: httpx2.Client, picture: str) -> None:
    full = client.get(f"/api/images/{picture}")
    thumbnail = client.get(f"/api/thumbs/{picture}")
    assert (full.headers["content-type"], thumbnail.headers["content-type"]) == (
        "image/png",
        "image/webp",
    )
    assert Image.open(io.BytesIO(full.content)).size == (32, 24)
    assert Image.open(io.BytesIO(thumbnail.content)).size == (16, 12)
    for response in (full, thumbnail):
        assert response.headers["cache-control"] == "private, max-age=31536000, immutable"
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["accept-ranges"] == "bytes"


def test_a_known_picture_is_not_sent_again(client: httpx2.Client, picture: str) -> None:
    url = f"/api/images/{picture}"
    etag = client.get(url).headers["etag"]
    assert not etag.startswith("W/")
    for header in (etag, f'"other", {etag}', "*", f"W/{etag}"):
        again = client.get(url, headers={"If-None-Match": header})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
    assert client.get(url, headers={"If-None-Match": '"other"'}).status_code == 200


def test_a_range_is_a_part_of_the_file(client: httpx2.Client, picture: str) -> None:
    url = f"/api/images/{picture}"
    whole = client.get(url).content
    size = len(whole)

    def part(asked: str) -> tuple[int, bytes, str | None]:
        response = client.get(url, headers={"Range": asked})
        return response.status_code, response.content, response.headers.get("content-range")

    assert part("bytes=0-7") == (206, whole[:8], f"bytes 0-7/{size}")
    assert part("bytes=8-") == (206, whole[8:], f"bytes 8-{size - 1}/{size}")
    assert part("bytes=-4") == (206, whole[-4:], f"bytes {size - 4}-{size - 1}/{size}")
    assert part(f"bytes=0-{size * 9}")[:2] == (206, whole)
    for whole_instead in ("bytes=5-2", "bytes=0-1,4-5", "lines=1-2", "bytes=-", "nonsense"):
        assert part(whole_instead) == (200, whole, None)


def test_a_range_outside_the_file_is_416(client: httpx2.Client, picture: str) -> None:
    response = client.get(f"/api/images/{picture}", headers={"Range": "bytes=99999-"})
    refused(response, 416)
    assert response.headers["content-range"].startswith("bytes */")


def test_a_range_of_another_version_is_not_mixed_in(client: httpx2.Client, picture: str) -> None:
    headers = {"Range": "bytes=0-7", "If-Range": '"other"'}
    assert client.get(f"/api/images/{picture}", headers=headers).status_code == 200


def test_the_unit_of_a_range_has_no_case(client: httpx2.Client, picture: str) -> None:
    response = client.get(f"/api/images/{picture}", headers={"Range": "Bytes=0-7"})
    assert response.status_code == 206


def test_a_range_of_this_very_version_is_a_part(client: httpx2.Client, picture: str) -> None:
    url = f"/api/images/{picture}"
    etag = client.get(url).headers["etag"]
    for if_range, code in ((etag, 206), (f"W/{etag}", 200), ("Mon, 23 Nov 2026 12:00:00 GMT", 200)):
        headers = {"Range": "bytes=0-7", "If-Range": if_range}
        assert client.get(url, headers=headers).status_code == code


def test_a_condition_that_does_not_hold_is_412(client: httpx2.Client, picture: str) -> None:
    url = f"/api/images/{picture}"
    etag = client.get(url).headers["etag"]
    for header, code in (("*", 200), (etag, 200), (f'"x", {etag}', 200), (f"W/{etag}", 412)):
        assert client.get(url, headers={"If-Match": header}).status_code == code
    refused(client.get(url, headers={"If-Match": '"other"', "If-None-Match": etag}), 412)


def test_a_condition_comes_before_a_range(client: httpx2.Client, picture: str) -> None:
    url = f"/api/images/{picture}"
    headers = {"If-None-Match": client.get(url).headers["etag"], "Range": "bytes=99999-"}
    assert client.get(url, headers=headers).status_code == 304


def test_head_knows_no_ranges(client: httpx2.Client, picture: str) -> None:
    url = f"/api/images/{picture}"
    for asked in ("bytes=0-7", "bytes=99999-"):
        head = client.head(url, headers={"Range": asked})
        assert head.status_code == 200
        assert "content-range" not in head.headers


def test_a_large_file_is_sent_whole_and_in_parts(served: Served, picture: str) -> None:
    name = PictureName(ids.at(1_600_000_000_000), 0)
    lay(served.spool, name)
    content = random.Random(1).randbytes(3 * CHUNK_BYTES + 17)
    name.picture(served.spool).write_bytes(content)
    url = f"/api/images/{name}"
    assert served.client.get(url).content == content
    part = served.client.get(url, headers={"Range": f"bytes=5-{2 * CHUNK_BYTES}"})
    assert part.content == content[5 : 2 * CHUNK_BYTES + 1]
    assert served.client.head(url).headers["content-length"] == str(len(content))
    assert served.client.delete(url).status_code == 204


def test_head_tells_the_size_alone(client: httpx2.Client, picture: str) -> None:
    url = f"/api/images/{picture}"
    head, full = client.head(url), client.get(url)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(full.content))
    assert head.headers["etag"] == full.headers["etag"]


@pytest.mark.parametrize("folder", ["images", "thumbs"])
@pytest.mark.parametrize(
    "name",
    [
        "../spool.json",
        "..%2f..%2fspool.json",
        "%2e%2e%2fspool.json",
        "....//spool.json",
        "%2fetc%2fpasswd",
        "20261123T121728417-7f3a9c-0.png%00.txt",
        "20261123T121728417-7f3a9c-0.thumb.webp",
        "20261323T121728417-7f3a9c-0.png",
        "nothing.png",
    ],
)
def test_nothing_but_pictures_is_served(
    served: Served, picture: str, folder: str, name: str
) -> None:
    # A client would tidy the path before it sends it.
    with socket.create_connection(("127.0.0.1", served.port), 5) as connection:
        request = f"GET /api/{folder}/{name} HTTP/1.0\r\nHost: localhost\r\n\r\n"
        connection.sendall(request.encode())
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 404 ")
    assert b"application/problem+json" in answer


def test_links_and_pipes_are_not_opened(served: Served, picture: str) -> None:
    folder = PictureName.parse(picture).picture(served.spool).parent  # type: ignore[union-attr]
    job_id = picture[:25]
    link, pipe = folder / f"{job_id}-98.png", folder / f"{job_id}-99.png"
    link.symlink_to(served.spool.root / "spool.json")
    os.mkfifo(pipe)
    try:
        for path in (link, pipe):
            refused(served.client.get(f"/api/images/{path.name}"), 404)
    finally:
        link.unlink()
        pipe.unlink()
