from __future__ import annotations

import shutil

import pytest

from spool.layout import Spool
from spool.locks import lock


def test_a_lock_excludes_and_its_file_stays(spool: Spool) -> None:
    with lock(spool, "a"), pytest.raises(TimeoutError):
        lock(spool, "a").acquire(timeout=0)
    assert spool.lock("a").exists()


def test_a_lock_is_not_made_where_the_spool_was(spool: Spool) -> None:
    shutil.rmtree(spool.root)
    with pytest.raises(FileNotFoundError):
        lock(spool, "a")
    assert not spool.root.exists()
