"""How many connections the limit of open files allows."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
import resource, sys
from httpd.descriptors import connections_for
soft, hard, wanted = map(int, sys.argv[1:])
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
print(connections_for(wanted), resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""


@pytest.mark.parametrize(
    ("soft", "hard", "wanted", "allowed", "soft_after"),
    [
        (1024, 4096, 100, 100, 1024),
        (1024, 4096, 1000, 1000, 2512),
        (1024, 4096, 8000, 1792, 4096),
        (256, 256, 8000, 16, 256),
    ],
)
def test_the_soft_limit_is_raised_as_far_as_needed_and_allowed(
    soft: int, hard: int, wanted: int, allowed: int, soft_after: int
) -> None:
    command = [sys.executable, "-c", SCRIPT, str(soft), str(hard), str(wanted)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stdout.split() == [str(allowed), str(soft_after)]
    assert ("LimitNOFILE" in result.stderr) == (allowed < wanted)
