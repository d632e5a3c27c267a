from __future__ import annotations

import hashlib

from spool.gallery import PictureName, publish_picture
from spool.layout import Spool
from spool.outcomes import published
from spool.picture_files import PictureFormat
from tests.spool.samples import draw


def test_what_a_job_has_published_is_told_as_its_record_shall_tell_it(spool: Spool) -> None:
    ticket = draw(spool, count=3, seed=7)
    png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x80\0\0\0\x40"
    publish_picture(spool, PictureName(ticket.job_id, 1), png, b"thumb")
    [image] = published(spool, ticket)
    assert (image.filename, image.index, image.seed) == (f"{ticket.job_id}-1.png", 1, 8)
    assert (image.width, image.height, image.bytes) == (128, 64, len(png))
    assert image.sha256 == hashlib.sha256(png).hexdigest()


def test_of_a_file_that_is_no_picture_the_record_tells_no_size(spool: Spool) -> None:
    ticket = draw(spool)
    name = PictureName(ticket.job_id, 0, PictureFormat.JPEG)
    publish_picture(spool, name, b"\xff\xd8\xff", b"thumb")
    [image] = published(spool, ticket)
    assert (image.filename, image.width, image.height) == (str(name), 0, 0)
