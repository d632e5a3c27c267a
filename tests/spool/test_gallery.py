from __future__ import annotations

from pathlib import Path

import pytest

from spool.gallery import (
    PictureName,
    newest_first,
    pictures_in,
    publish_picture,
    published_name,
    remove_picture,
)
from spool.layout import Spool
from spool.picture_files import PictureFormat
from tests.spool.crashes import killed_at_each_effect

JOB_ID = "20261123T121728417-7f3a9c"
EXTENSIONS = {PictureFormat.PNG: "png", PictureFormat.WEBP: "webp", PictureFormat.JPEG: "jpg"}


def test_the_name_of_a_picture_says_where_it_lies(spool: Spool) -> None:
    name = PictureName(JOB_ID, 2)
    assert str(name) == f"{JOB_ID}-2.png"
    assert name.picture(spool) == spool.gallery / "20261123" / "12" / f"{JOB_ID}-2.png"
    assert name.thumbnail(spool).name == f"{JOB_ID}-2.thumb.webp"
    assert PictureName.parse(str(name)) == name


@pytest.mark.parametrize(
    "filename",
    [
        "",
        f"{JOB_ID}.png",
        f"{JOB_ID}-2.jpeg",
        f"{JOB_ID}-2.PNG",
        f"{JOB_ID}-2.thumb.webp",
        f"{JOB_ID}-1000.png",
        f"{JOB_ID}--1.png",
        f"{JOB_ID}-2.png\n",
        f"../{JOB_ID}-2.png",
        f"/{JOB_ID}-2.png",
        "20269923T121728417-7f3a9c-0.png",
        "../../../etc/passwd",
    ],
)
def test_what_is_no_picture_name_is_never_a_path(filename: str) -> None:
    assert PictureName.parse(filename) is None


@pytest.mark.parametrize(("each", "extension"), EXTENSIONS.items())
def test_the_extension_of_a_name_is_its_format(
    spool: Spool, each: PictureFormat, extension: str
) -> None:
    name = PictureName(JOB_ID, 2, each)
    assert str(name) == f"{JOB_ID}-2.{extension}"
    assert PictureName.parse(str(name)) == name
    assert name.thumbnail(spool) == PictureName(JOB_ID, 2).thumbnail(spool)
    of_thumbnail = PictureName.of_thumbnail(name.thumbnail(spool).name)
    assert of_thumbnail is not None
    assert of_thumbnail.stem == name.stem
    assert PictureName.of_thumbnail(str(name)) is None


@pytest.mark.parametrize("first", PictureFormat)
@pytest.mark.parametrize("second", PictureFormat)
def test_a_picture_is_published_once_in_whatever_format(
    spool: Spool, first: PictureFormat, second: PictureFormat
) -> None:
    assert published_name(spool, JOB_ID, 0) is None
    assert publish_picture(spool, PictureName(JOB_ID, 0, first), b"first", b"thumb")
    assert not publish_picture(spool, PictureName(JOB_ID, 0, second), b"second", b"other")
    (name,) = newest_first(spool)
    assert name == published_name(spool, JOB_ID, 0) == PictureName(JOB_ID, 0, first)
    assert name.picture(spool).read_bytes() == b"first"
    assert published_name(spool, JOB_ID, 1) is None


def test_a_picture_is_published_once(spool: Spool) -> None:
    name = PictureName(JOB_ID, 0)
    assert publish_picture(spool, name, b"first", b"thumb")
    assert not publish_picture(spool, name, b"second", b"other")
    assert name.picture(spool).read_bytes() == b"first"
    assert name.thumbnail(spool).read_bytes() == b"thumb"


def test_a_kill_at_any_line_shows_no_picture_without_its_thumbnail(tmp_path: Path) -> None:
    numbers = iter(range(1000))
    name = PictureName(JOB_ID, 0)
    shown = set()
    for spool in killed_at_each_effect(
        lambda: Spool.create(tmp_path / str(next(numbers))),
        lambda spool: publish_picture(spool, name, b"png", b"thumb"),
    ):
        there = name.picture(spool).exists()
        if there:
            assert name.picture(spool).read_bytes() == b"png"
            assert name.thumbnail(spool).read_bytes() == b"thumb"
        shown.add(there)
        # The daemon that comes after may be configured for another format.
        again = PictureName(JOB_ID, 0, PictureFormat.WEBP)
        publish_picture(spool, again, b"webp", b"thumb")
        assert list(newest_first(spool)) == [name if there else again]
    assert shown == {False, True}


def test_a_removal_that_is_killed_anywhere_is_completed_by_the_next(tmp_path: Path) -> None:
    numbers = iter(range(1000))
    name = PictureName(JOB_ID, 0)

    def prepare() -> Spool:
        spool = Spool.create(tmp_path / str(next(numbers)))
        publish_picture(spool, name, b"png", b"thumb")
        return spool

    shown = set()
    for spool in killed_at_each_effect(prepare, lambda spool: remove_picture(spool, name)):
        there = name.picture(spool).exists()
        assert name.thumbnail(spool).exists() or not there
        shown.add(there)
        assert remove_picture(spool, name) is there
        assert list(name.picture(spool).parent.iterdir()) == []
    assert shown == {False, True}


def test_only_the_picture_that_is_named_is_removed(spool: Spool) -> None:
    name, other = PictureName(JOB_ID, 0, PictureFormat.WEBP), PictureName(JOB_ID, 1)
    for each in (name, other):
        publish_picture(spool, each, b"picture", b"thumb")
    assert not remove_picture(spool, PictureName(JOB_ID, 0, PictureFormat.PNG))
    assert name.thumbnail(spool).exists()
    assert not remove_picture(spool, PictureName("20261123T131728417-7f3a9c", 0))
    assert remove_picture(spool, name)
    assert list(newest_first(spool)) == [other]
    assert other.thumbnail(spool).exists()


def test_a_link_in_a_pictures_place_is_not_removed(spool: Spool, tmp_path: Path) -> None:
    name = PictureName(JOB_ID, 0)
    target = tmp_path / "elsewhere"
    target.mkdir()
    (target / str(name)).touch()
    name.picture(spool).parent.parent.mkdir()
    name.picture(spool).parent.symlink_to(target)
    assert not remove_picture(spool, name)
    assert (target / str(name)).exists()


def test_the_newest_job_comes_first_and_its_last_picture_first(spool: Spool) -> None:
    names = [
        PictureName("20261123T121728417-7f3a9c", 10),
        PictureName("20261123T121728417-7f3a9c", 9, PictureFormat.WEBP),
        PictureName("20261123T121728417-7f3a9c", 0),
        PictureName("20261123T115959999-ffffff", 0, PictureFormat.JPEG),
        PictureName("20261122T235959999-000000", 1),
        PictureName("20251231T000000000-000000", 0),
    ]
    for name in sorted(names):
        publish_picture(spool, name, b"png", b"thumb")
    assert list(newest_first(spool)) == names
    assert sorted(pictures_in(names[0].picture(spool).parent)) == sorted(names[:3])


def test_an_empty_gallery_has_no_pictures(spool: Spool) -> None:
    assert list(newest_first(spool)) == []


def test_strange_files_in_the_gallery_are_passed_over(spool: Spool) -> None:
    publish_picture(spool, PictureName(JOB_ID, 0), b"png", b"thumb")
    (spool.gallery / "README").touch()
    (spool.gallery / "20261123" / "notes").touch()
    (spool.gallery / "20261123" / "12" / "stray.png").touch()
    assert list(newest_first(spool)) == [PictureName(JOB_ID, 0)]
    assert pictures_in(spool.gallery / "gone") == []
