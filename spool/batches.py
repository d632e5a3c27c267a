"""Files of the drop box that are taken together, since their tickets then share their syncs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from spool.drops import Signature
from spool.layout import Spool
from spool.orders import Order
from spool.strict_json import MAX_BYTES

Ready = tuple[Path, Signature]
"""A file to be taken, as it was when it was found whole."""

BATCH_FILES = 256
BATCH_BYTES = 8 * MAX_BYTES


def batches(spool: Spool, ready: Iterable[Ready]) -> Iterator[list[Ready]]:
    """`ready` in lists that are bounded in number and in the memory that reading them takes.

    Orders come last: one may be for a job that was dropped with it.
    """
    batch: list[Ready] = []
    size = 0
    for path, signature in sorted(ready, key=lambda it: Order.parse(spool, it[0]) is not None):
        # What is larger than a job may be is refused unread.
        weight = min(signature.size, MAX_BYTES)
        if batch and (len(batch) == BATCH_FILES or size + weight > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append((path, signature))
        size += weight
    if batch:
        yield batch
