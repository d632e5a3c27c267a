from __future__ import annotations

import json
import os
import re
import stat
from pathlib import Path

import pytest

from spool.claims import Slot
from spool.layout import CANCEL_SLOT, FORMAT, MARKER, Spool, check_slot_name
from spool.problems import NotASpool
from tests.spool.processes import ROOT, in_children
from tests.spool.samples import draw


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_spool_carries_its_format(spool: Spool) -> None:
    assert json.loads((spool.root / MARKER).read_bytes()) == {"format": FORMAT}


def test_every_directory_that_a_path_names_exists(spool: Spool) -> None:
    named = [
        spool.incoming,
        spool.rejected,
        spool.work,
        spool.queued,
        spool.active,
        spool.slot_of(CANCEL_SLOT),
        spool.held,
        spool.live,
        spool.done,
        spool.gallery,
        spool.outgoing,
        spool.slots,
        spool.locks,
        spool.seen,
        spool.pending,
        spool.tmp,
        spool.cache,
        spool.feed.parent,
    ]
    assert all(path.is_dir() for path in named)
    found = {path for path in spool.root.rglob("*") if path.is_dir()}
    assert found == set(named)


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_the_modes_of_a_new_spool_do_not_depend_on_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        spool = Spool.create(tmp_path / "new" / "spool")
    finally:
        os.umask(before)
    assert _mode(spool.root) == 0o2750
    assert _mode(spool.incoming) == 0o3730
    assert _mode(spool.root / MARKER) == 0o640
    for closed in (spool.locks, spool.seen, spool.tmp):
        assert _mode(closed) == 0o700
    for readable in (spool.queued, spool.live, spool.done, spool.slots, spool.rejected):
        assert _mode(readable) == 0o2750


def test_making_a_spool_anew_keeps_what_is_there_and_restores_the_drop_box(spool: Spool) -> None:
    (spool.incoming / "job.json").write_text("{}")
    spool.incoming.chmod(0o755)
    spool.held.rmdir()
    again = Spool.create(spool.root)
    assert again == spool
    assert (spool.incoming / "job.json").read_text() == "{}"
    assert _mode(spool.incoming) == 0o3730
    assert spool.held.is_dir()


def test_a_directory_without_the_marker_is_no_spool_and_stays_untouched(tmp_path: Path) -> None:
    with pytest.raises(NotASpool, match=rf"{tmp_path}.*genzo init"):
        Spool.open(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("marker", ['{"format": 2}', "{}", "[1]", "null", "1", '{"format": "1"}'])
def test_a_spool_of_another_format_is_not_opened(spool: Spool, marker: str) -> None:
    (spool.root / MARKER).write_text(marker)
    with pytest.raises(NotASpool, match="format"):
        Spool.open(spool.root)


@pytest.mark.parametrize("marker", [b"", b"{", b"\xff"])
def test_a_marker_that_is_damaged_is_named(spool: Spool, marker: bytes) -> None:
    (spool.root / MARKER).write_bytes(marker)
    with pytest.raises(NotASpool, match=MARKER):
        Spool.open(spool.root)


def test_a_spool_of_another_format_is_not_made_one_of_ours(spool: Spool) -> None:
    (spool.root / MARKER).write_text('{"format": 2}')
    with pytest.raises(NotASpool):
        Spool.create(spool.root)
    assert (spool.root / MARKER).read_text() == '{"format": 2}'


def test_the_root_is_real_though_the_spool_is_named_through_a_link(
    spool: Spool, tmp_path: Path
) -> None:
    link = tmp_path / "link"
    link.symlink_to(spool.root)
    assert Spool.open(link).root == spool.root
    assert Spool.create(link).root == spool.root


def test_a_record_lies_in_the_shard_of_its_id(spool: Spool) -> None:
    path = spool.record("20261123T121728417-7f3a9c")
    assert path.relative_to(spool.root).as_posix() == (
        "done/20261123/12/20261123T121728417-7f3a9c.json"
    )


@pytest.mark.parametrize("name", ["0", "gpu0", "node-1_gpu.3", "A" * 63])
def test_a_slot_may_be_named(name: str) -> None:
    assert check_slot_name(name) == name


@pytest.mark.parametrize(
    "name", ["", ".", "..", ".gpu", "-gpu", "a/b", "a b", "gpu0\n", "A" * 64, "gpü", CANCEL_SLOT]
)
def test_a_slot_may_not_be_named(name: str) -> None:
    with pytest.raises(ValueError, match="slot name"):
        check_slot_name(name)


def test_no_slot_may_have_the_name_of_another_lock(spool: Spool) -> None:
    """A daemon that held such a lock for life would stop acceptance, intake or the feed."""
    source = "".join(path.read_text() for path in (ROOT / "spool").rglob("*.py"))
    locks = {*re.findall(r'lock\((?:self\._)?spool, "(\w+)"\)', source), CANCEL_SLOT}
    assert len(locks) >= 4
    for lock in locks:
        with pytest.raises(ValueError, match=lock):
            Slot.acquire(spool, lock, timeout_seconds=0)


def _create(root: str) -> list[str]:
    spool = Spool.create(Path(root))
    return [draw(spool).job_id]


def test_processes_that_make_one_spool_at_once_all_succeed(tmp_path: Path) -> None:
    results = in_children(_create, [(str(tmp_path / "spool"),)] * 4)
    assert len({job_id for result in results for job_id in result}) == 4
