"""What an album tells of a picture comes from its record, its ticket, or the file itself."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from PIL import Image

from daemon.infotext import Infotext
from daemon.pictures import encode_picture
from httpd.album import Album
from httpd.finding import Wanted
from httpd.keys import key_of
from httpd.pictures import Pictures
from httpd.terms import query_terms
from spool import ids
from spool.gallery import PictureName, remove_picture
from spool.layout import Spool
from spool.picture_files import PictureFormat
from spool.settings import OutputSettings, Settings
from tests.httpd.albums import names, opened, search
from tests.httpd.shelf_filler import HOUR_MS, LONG_AGO_MS, add, lay, settle, write_record
from tests.services import wait_for


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool.create(tmp_path / "spool")


def test_a_record_that_comes_after_its_picture_is_taken_over(spool: Spool) -> None:
    name = PictureName(ids.at(LONG_AGO_MS), 0)
    with opened(spool) as album:
        ticket = spool.queued / f"50-{name.job_id}.0.json"
        shutil.copy(_ticket(spool), ticket)
        lay(spool, name)
        assert names(album) == [name]
        write_record(spool, name.job_id, [name], prompt="finished", model="late")
        ticket.unlink()
        wanted = search("finished", "late")
        wait_for(lambda: names(album, wanted) == [name], seconds=20, what="the record")
        assert album.page(1, wanted=Wanted(model="late")).total == 1


def test_records_that_a_backup_brings_last_are_taken_over(spool: Spool, tmp_path: Path) -> None:
    there = [add(spool, LONG_AGO_MS + hour * HOUR_MS, "restored")[0] for hour in range(10)]
    settle(spool)
    spool.done.rename(tmp_path / "records")
    spool.done.mkdir()
    with opened(spool) as album:
        assert names(album) == there[::-1]
        assert names(album, search("restored")) == []
        spool.done.rmdir()
        (tmp_path / "records").rename(spool.done)
        wait_for(
            lambda: names(album, search("restored")) == there[::-1], seconds=20, what="the records"
        )


def _ticket(spool: Spool) -> Path:
    from spool.acceptance import Sender, admit, draw_ticket
    from spool.catalogue import Catalogue
    from spool.jobs import JobRequest

    ticket = draw_ticket(spool, JobRequest(prompt="waiting"), Catalogue(), Sender("cli", 0))
    admit(spool, ticket)
    return spool.queued / str(ticket.name)


@pytest.mark.parametrize("kind", PictureFormat)
def test_a_picture_without_a_record_says_itself_what_it_shows(
    spool: Spool, kind: PictureFormat
) -> None:
    name = PictureName(ids.at(LONG_AGO_MS), 2, kind)
    job = {"prompt": "夕焼けの街", "model": "kept", "seed": 40, "steps": 20}
    told = {"job_id": name.job_id, "index": 2, "seed": 42, "job": job, "render": {"seconds": 1.5}}
    image, text = Image.new("RGB", (40, 24)), Infotext("", "", "")
    lay(spool, name)
    data = encode_picture(image, OutputSettings(format=kind), text, told)
    name.picture(spool).write_bytes(data)
    with opened(spool) as album:
        ((found, source),) = album.page(1, wanted=search("夕焼け", "kept")).pictures
    picture = Pictures(spool).picture(found, source)
    assert (picture.width, picture.height) == (40, 24)
    assert picture.metadata == {**job, "seed": 42, "seconds": 1.5}


def test_what_a_picture_says_of_another_job_is_not_believed(spool: Spool) -> None:
    name = PictureName(ids.at(LONG_AGO_MS), 0)
    told = {"job_id": ids.at(0), "seed": 1, "job": {"prompt": "apple"}, "render": {}}
    lay(spool, name)
    data = encode_picture(Image.new("RGB", (8, 8)), OutputSettings(), Infotext("", "", ""), told)
    name.picture(spool).write_bytes(data)
    with opened(spool) as album:
        assert names(album) == [name]
        assert names(album, search("apple")) == []


def test_two_jobs_of_one_rank_are_kept_apart(spool: Spool) -> None:
    stamp = ids.at(LONG_AGO_MS).rpartition("-")[0]
    one, other = PictureName(f"{stamp}-000001", 0), PictureName(f"{stamp}-000002", 0)
    for name, prompt in ((one, "apple"), (other, "pear")):
        lay(spool, name)
        write_record(spool, name.job_id, [name], prompt=prompt, model="tiny")
    assert key_of(one).rank == key_of(other).rank
    with opened(spool) as album:
        assert names(album) == [other, one]
        # A term of either finds both: that they share one is a matter of one in thirty thousand.
        assert names(album, search("apple")) == [other, one]
        remove_picture(spool, one)
        assert names(album, search("apple")) == []
        assert names(album, search("pear")) == [other]


@pytest.mark.parametrize(
    "query",
    ['"', "*", "NEAR(", "\0", "a" * 10_000, "' OR 1=1 --", "AND", "text:red", "-red", "^red"],
)
def test_no_query_is_syntax(spool: Spool, query: str) -> None:
    add(spool, LONG_AGO_MS, f"before {query.replace(chr(0), '')} after")
    with opened(spool) as album:
        terms = query_terms(query)
        assert len(names(album, search(query))) == (1 if terms else 0)


def test_a_folder_that_changed_this_moment_is_looked_at_again(spool: Spool) -> None:
    with opened(spool) as album:
        for number in range(50):
            add(spool, LONG_AGO_MS + number)
            assert album.page(1).total == number + 1


def test_a_disk_below_its_floor_takes_no_index(
    spool: Spool, caplog: pytest.LogCaptureFixture
) -> None:
    there = [add(spool, LONG_AGO_MS + number)[0] for number in range(3)]
    free = shutil.disk_usage(spool.root).free
    settings = Settings.model_validate({"disk": {"floor_bytes": 2 * free}})
    album = Album(spool, settings)
    album.start()
    try:
        assert names(album) == there[::-1]
        assert album.page(1).total is None
        assert "does not grow" in caplog.text
    finally:
        album.stop()
    assert os.listdir(spool.cache)
