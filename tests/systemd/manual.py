"""The blocks of docs/operations.md, to be run as they stand there."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tests.systemd.wheels import TREE

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)

_OFFLINE = """
export PIP_CONFIG_FILE=/dev/null PIP_NO_INDEX=1 PIP_DISABLE_PIP_VERSION_CHECK=1
export PIP_FIND_LINKS=/srv/wheels/{wheels}
"""


@dataclass(frozen=True, slots=True)
class Block:
    """A block of code: its language, and its text."""

    kind: str
    text: str

    @property
    def head(self) -> str:
        """The first line, by which a block is known."""
        return self.text.splitlines()[0]


BLOCKS = tuple(
    Block(*found) for found in _BLOCK.findall((TREE / "docs" / "operations.md").read_text())
)


def block(head: str) -> Block:
    """The one block whose first line begins with `head`."""
    (found,) = (block for block in BLOCKS if block.head.startswith(head))
    return found


def offline(script: str, wheels: str) -> str:
    """`script`, with pip taking genzo from `wheels` (`present` or `next`), and nothing else."""
    return _OFFLINE.format(wheels=wheels) + script
