"""Open files: as many as the connections need, or no more connections than they allow."""

from __future__ import annotations

import logging
import resource

log = logging.getLogger(__name__)

ACCEPTED_AT_ONCE = 64
"""How many connections are accepted before others are served again."""

_OWN = 256
# They are counted, and those that must give way closed, some turns of the loop later.
_ON_THEIR_WAY = 4 * ACCEPTED_AT_ONCE
_PER_CONNECTION = 2  # its socket, and the picture that it is sent


def connections_for(wanted: int) -> int:
    """How many connections there may be, `wanted` at most; raises the soft limit if it must."""
    needed = _PER_CONNECTION * wanted + _ON_THEIR_WAY + _OWN
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return wanted
    allowed = max(16, (soft - _ON_THEIR_WAY - _OWN) // _PER_CONNECTION)
    log.warning(
        "%d connections at most, not %d: no more than %d files may be open (LimitNOFILE)",
        allowed,
        wanted,
        soft,
    )
    return allowed
