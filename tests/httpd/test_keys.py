"""Keys order as names do, and nothing of a name is lost in them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from httpd.keys import (
    CURSOR_PATTERN,
    FIRST_RANK,
    LAST_RANK,
    Key,
    decode_cursor,
    encode_cursor,
    first_rank,
    folder_of,
    key_of,
    name_of,
    rank_at,
    shard_in,
)
from spool import ids
from spool.gallery import PictureName
from spool.picture_files import PictureFormat

LAST_MS = 253_402_300_799_999


@st.composite
def names(draw: st.DrawFn) -> PictureName:
    near = draw(st.sampled_from((0, 1_700_000_000_000, LAST_MS - 3)))
    instant_ms = near + draw(st.integers(0, 3))
    digits = f"{draw(st.integers(0, 2**24 - 1)):06x}"
    stamp = ids.at(instant_ms).rpartition("-")[0]
    index = draw(st.integers(0, 999))
    return PictureName(f"{stamp}-{digits}", index, draw(st.sampled_from(PictureFormat)))


@given(names())
def test_a_key_is_the_whole_name(name: PictureName) -> None:
    key = key_of(name)
    assert name_of(key) == name
    assert FIRST_RANK <= key.rank <= LAST_RANK
    assert folder_of(key.shard) == str(ids.shard(name.job_id))
    assert shard_in(*folder_of(key.shard).split("/")) == key.shard
    assert first_rank(key.shard) <= key.rank < first_rank(key.shard + 1)
    assert rank_at(ids.created_ms(name.job_id)) <= key.rank
    assert key.rank < rank_at(ids.created_ms(name.job_id) + 1)


@given(names(), names())
def test_keys_order_as_names_do(one: PictureName, other: PictureName) -> None:
    by_name = (one.job_id, one.index) < (other.job_id, other.index)
    if (one.job_id, one.index) != (other.job_id, other.index):
        assert (key_of(one) < key_of(other)) == by_name


@given(names())
def test_a_cursor_is_safe_in_a_url_and_comes_back(name: PictureName) -> None:
    cursor = encode_cursor(key_of(name))
    assert re.fullmatch(CURSOR_PATTERN, cursor)
    assert decode_cursor(cursor) == key_of(name)


@given(st.from_regex(CURSOR_PATTERN, fullmatch=True))
def test_every_text_of_that_shape_is_a_place_in_the_order(cursor: str) -> None:
    key = decode_cursor(cursor)
    assert FIRST_RANK <= key.rank <= LAST_RANK
    assert encode_cursor(key) == cursor


def test_instants_beyond_every_job_are_the_ends_of_the_order() -> None:
    assert rank_at(-(10**18)) == FIRST_RANK
    assert rank_at(10**18) == rank_at(LAST_MS) + 2**15 < LAST_RANK


def test_what_is_no_hour_is_no_folder() -> None:
    assert shard_in("20261123", "12") is not None
    for day, hour in (
        ("20261323", "12"),
        ("20261123", "24"),
        ("20261123", "+1"),
        ("2026_123", "12"),
        ("notes.tx", "12"),
        ("20261123", ""),
        ("٢٠٢٦1123", "12"),
    ):
        assert shard_in(day, hour) is None


def test_a_key_without_a_picture_is_refused() -> None:
    with pytest.raises(ValueError, match="no picture"):
        name_of(Key(0, 3))
