"""What strangers drop: how each file is made, and what must come of it.

The numbers are those of the 54 hostile inputs that intake was designed against.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import stat
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import Any

from spool.strict_json import MAX_BYTES
from tests.spool.dropbox import JOB

NOBODY = 65534
LONG = "n" * 250
ID = "20261123T121728417-7f3a9c"
SECRET = "/etc/passwd"
LRI_CSI = "\u2066\x9b31m"
GROWTH_SECONDS = 1.2

Make = Callable[[Path], object]


class Fate(Enum):
    """What becomes of a dropped file."""

    ACCEPTED = auto()
    REFUSED = auto()
    """The file is kept in rejected/, with its reason."""
    TOLD = auto()
    """Only the reason is kept."""
    IGNORED = auto()
    """It stays, as part of an unfinished transfer."""
    STAYS = auto()
    """It stays, and the log says so once."""


@dataclass(frozen=True)
class Case:
    """A file `name` that `make` makes; the reason of a refusal `says` what is wrong, and `do`."""

    number: int
    name: str
    fate: Fate
    make: Make
    says: str = ""
    do: str = ""

    def __str__(self) -> str:
        shown = self.name if len(self.name) < 60 else f"{self.name[:20]}…{self.name[-6:]}"
        return ascii(f"{self.number} {shown}")[1:-1]


def content(data: bytes | str) -> Make:
    def make(path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data if isinstance(data, bytes) else data.encode())

    return make


def mode(bits: int, uid: int = NOBODY, text: str = JOB) -> Make:
    def make(path: Path) -> None:
        path.write_text(text)
        os.chown(path, uid, uid)
        path.chmod(bits)

    return make


def dated(mtime: float) -> Make:
    def make(path: Path) -> None:
        path.write_text(JOB)
        os.utime(path, (mtime, mtime))

    return make


def sparse(size: int) -> Make:
    def make(path: Path) -> None:
        path.touch()
        os.truncate(path, size)

    return make


def link_to(target: str) -> Make:
    return lambda path: path.symlink_to(target)


def hard_link_to_a_strangers(text: str) -> Make:
    def make(path: Path) -> None:
        theirs = path.parent.parent.parent / f"theirs-{path.name}"
        mode(0o600, text=text)(theirs)
        os.link(theirs, path)

    return make


def _socket(path: Path) -> None:
    here = os.open(path.parent, os.O_PATH)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"/proc/self/fd/{here}/{path.name}")
    os.close(here)


def _device(path: Path) -> None:
    os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(1, 5))


def _locked(path: Path) -> None:
    path.write_text(JOB)
    # Held until the tests' process ends, as a stranger would.
    fcntl.flock(os.open(path, os.O_RDONLY), fcntl.LOCK_EX)


def _growing(path: Path) -> None:
    """A file that is written for longer than a still one waits."""
    pieces = [JOB[i : i + 3] for i in range(0, len(JOB), 3)]

    def write() -> None:
        with path.open("w") as file:
            for piece in pieces:
                file.write(piece)
                file.flush()
                time.sleep(GROWTH_SECONDS / len(pieces))

    threading.Thread(target=write).start()


def _folder(path: Path) -> None:
    content(JOB)(path / "inside")
    content("no job")(path / "bad.json")


def _deep(path: Path) -> None:
    subprocess.run(["mkdir", "-p", path / ("d/" * 12)], check=True)


def _with(field: str, value: Any) -> Make:
    return content(json.dumps({"prompt": "x", field: value}, ensure_ascii=False))


def _raw(field: str, value: str) -> Make:
    return content(f'{{"prompt": "x", "{field}": {value}}}')


MANY_KEYS = "{" + ",".join(f'"{number:x}":1' for number in range(90_000)) + "}"

KINDS = [
    Case(1, "link.json", Fate.TOLD, link_to(SECRET), "regular file", "send a copy"),
    Case(1, "folder-link.json", Fate.TOLD, link_to("/etc"), "regular file", "send a copy"),
    Case(2, "dangling.json", Fate.TOLD, link_to("gone"), "regular file", "send a copy"),
    Case(3, "loop.json", Fate.TOLD, link_to("loop.json"), "regular file", "send a copy"),
    Case(4, "pipe.json", Fate.TOLD, os.mkfifo, "regular file", "send a copy"),
    Case(5, "socket.json", Fate.TOLD, _socket, "regular file", "send a copy"),
    Case(6, "device.json", Fate.TOLD, _device, "regular file", "send a copy"),
    Case(7, "folder.json/inside", Fate.ACCEPTED, lambda path: _folder(path.parent)),
    Case(7, "folder.json/bad.json", Fate.REFUSED, lambda _: None, "line 1, column 1", "mend"),
    Case(7, "d/" * 8 + "a.json", Fate.ACCEPTED, content(JOB)),
    Case(7, "e/" * 9 + "a.json", Fate.STAYS, content(JOB), "more than 8 folders", "further up"),
    Case(7, "f", Fate.STAYS, _deep, "more than 8 folders", "further up"),
    Case(7, f"sub/{ID}.json", Fate.REFUSED, content(JOB), "like a job's id", "rename"),
    Case(7, f"sub/{ID}.json.json", Fate.REFUSED, content(JOB), "like a job's id", "rename"),
    Case(7, f"{ID}/SHA256SUMS", Fate.REFUSED, content(JOB), "like a job's id", "rename"),
    Case(8, "hard.json", Fate.ACCEPTED, hard_link_to_a_strangers(JOB)),
    Case(8, "hard-bad.json", Fate.REFUSED, hard_link_to_a_strangers("no"), "column 1", "mend"),
    Case(9, "sparse.json", Fate.REFUSED, sparse(2**40), f"{2**40} bytes", f"at most {MAX_BYTES}"),
    Case(10, "large.json", Fate.REFUSED, sparse(MAX_BYTES + 1), f"{MAX_BYTES + 1}", "at most"),
    Case(14, "growing.json", Fate.ACCEPTED, _growing),
    Case(18, "private.json", Fate.ACCEPTED, mode(0o600)),
    Case(19, "others.json", Fate.ACCEPTED, mode(0o644)),
    Case(20, "setuid.json", Fate.ACCEPTED, mode(0o6755)),
    Case(20, "setuid-bad.json", Fate.REFUSED, mode(0o6755, text="no"), "column 1", "mend"),
    Case(22, "locked.json", Fate.ACCEPTED, _locked),
    Case(53, "past.json", Fate.ACCEPTED, dated(0)),
    Case(53, "before.json", Fate.ACCEPTED, dated(-1e9)),
    Case(53, "future.json", Fate.ACCEPTED, dated(4.1e9)),
]

NAMES = [
    Case(23, f"{LONG}.json", Fate.ACCEPTED, content(JOB)),
    Case(23, f"{LONG}.jso", Fate.REFUSED, content("no"), "column 1", "mend"),
    Case(23, f"{LONG}.jsn", Fate.REFUSED, content("no"), "column 1", "mend"),
    Case(23, "改" * 85, Fate.REFUSED, content("no"), "column 1", "mend"),
    Case(24, os.fsdecode(b"caf\xe9.json"), Fate.REFUSED, content(JOB), "not valid UTF-8", "rename"),
    Case(24, os.fsdecode(b"\xff"), Fate.REFUSED, content(JOB), "not valid UTF-8", "rename"),
    Case(25, "new\nline.json", Fate.ACCEPTED, content(JOB)),
    Case(25, "new\nERROR forged", Fate.REFUSED, content("no"), "column 1", "mend"),
    Case(26, "-rf.json", Fate.ACCEPTED, content(JOB)),
    Case(26, "--help", Fate.ACCEPTED, content(JOB)),
    Case(27, ".hidden.json", Fate.IGNORED, content(JOB)),
    Case(27, ".a.json.MdWKNL", Fate.IGNORED, content(JOB)),
    Case(27, ".~tmp~/a.json", Fate.IGNORED, content(JOB)),
    Case(28, "..json", Fate.IGNORED, content(JOB)),
    Case(28, "...", Fate.IGNORED, content(JOB)),
    Case(29, "space.json ", Fate.ACCEPTED, content(JOB)),
    Case(29, " ", Fate.ACCEPTED, content(JOB)),
    Case(30, "CAPITALS.JSON", Fate.ACCEPTED, content(JOB)),
    Case(31, "caf\u00e9.json", Fate.ACCEPTED, content(JOB)),
    Case(31, "cafe\u0301.json", Fate.ACCEPTED, content(JOB)),
    Case(32, "edited.json~", Fate.IGNORED, content(JOB)),
    Case(32, "edited.json.swp", Fate.IGNORED, content(JOB)),
    Case(32, "half.json.partial", Fate.IGNORED, content(JOB)),
    Case(32, "half.json.filepart", Fate.IGNORED, content(JOB)),
    Case(34, f"{ID}.json", Fate.ACCEPTED, content(JOB)),
    Case(34, f"{ID}.txt", Fate.ACCEPTED, content('{"prompt": "another"}')),
    Case(34, "99991231T235959999-7f3a9c.json", Fate.ACCEPTED, content(JOB)),
    Case(34, "20261399T999999999-7f3a9c.json", Fate.ACCEPTED, content(JOB)),
    Case(52, "\u202egpj.json", Fate.ACCEPTED, content(JOB)),
    Case(52, f"{LRI_CSI}.json", Fate.REFUSED, content("no"), "column 1", "mend"),
    Case(52, "bell\x07\x1b[2J", Fate.REFUSED, content("no"), "column 1", "mend"),
    Case(52, "<img src=x onerror=alert(1)>", Fate.REFUSED, content("no"), "column 1", "mend"),
]

DOCUMENTS = [
    Case(11, "empty.json", Fate.REFUSED, content(""), "empty", "write one JSON object"),
    Case(12, "blank.json", Fate.REFUSED, content(" \n\t "), "empty", "write one JSON object"),
    Case(13, "truncated.json", Fate.REFUSED, content(JOB[:-5]), "line 1, column", "mend"),
    Case(35, "id-up.json", Fate.REFUSED, _with("job_id", "../../etc/x"), "job_id: no", "known"),
    Case(36, "id-root.json", Fate.REFUSED, _with("id", "/etc/x"), "id: no such", "known fields"),
    Case(37, "id-nul.json", Fate.REFUSED, _with("id", "a\x00b/c"), "id: no such", "known fields"),
    Case(38, "id-10kb.json", Fate.REFUSED, _with("i" * 10_000, 1), "no such field", "known"),
    Case(39, "twice.json", Fate.REFUSED, content('{"prompt": "a", "prompt": "b"}'), "twice", "one"),
    Case(40, "nan.json", Fate.REFUSED, _raw("guidance_scale", "NaN"), "NaN", "write a number"),
    Case(41, "inf.json", Fate.REFUSED, _raw("guidance_scale", "-Infinity"), "-Inf", "write a"),
    Case(41, "1e999.json", Fate.REFUSED, _raw("guidance_scale", "1e999"), "1e999", "smaller"),
    Case(42, "deep.json", Fate.REFUSED, content('{"a":' * 100_000), "nested deeper", "needs 3"),
    Case(42, "deep-list.json", Fate.REFUSED, content("[" * 10**6), "nested deeper", "needs 3"),
    Case(
        43, "bom.json", Fate.REFUSED, content(b"\xef\xbb\xbf" + JOB.encode()), "byte-order", "plain"
    ),
    Case(44, "utf-16.json", Fate.REFUSED, content(JOB.encode("utf-16")), "byte-order", "plain"),
    Case(44, "utf-16-be.json", Fate.REFUSED, content(JOB.encode("utf-16-be")), "byte 0", "mend"),
    Case(
        45, "latin-1.json", Fate.REFUSED, content(b'{"prompt": "caf\xe9"}'), "UTF-8", "save it as"
    ),
    Case(46, "lone.json", Fate.REFUSED, _raw("name", r'"\ud800"'), r"\ud800", "write the whole"),
    Case(46, "pair.json", Fate.ACCEPTED, _raw("name", r'"\ud83d\ude00"')),
    Case(47, "nul.json", Fate.REFUSED, _with("prompt", "a\x00b"), "NUL", "must not contain"),
    Case(47, "nul-byte.json", Fate.REFUSED, content(b'{"prompt": "a\x00b"}'), "control", "mend"),
    Case(48, "digits.json", Fate.REFUSED, _raw("seed", "1" * 4301), "4301 digits", "more than 400"),
    Case(48, "seed.json", Fate.REFUSED, _raw("seed", str(2**53)), "seed: ", f"{2**53 - 1}"),
    Case(49, "true.json", Fate.REFUSED, _raw("steps", "true"), "steps: must be a whole", "not a"),
    Case(49, "text-number.json", Fate.REFUSED, _raw("steps", '"5"'), "steps: must be", "not a str"),
    Case(49, "half-step.json", Fate.REFUSED, _raw("steps", "1.5"), "steps: ", "integer"),
    Case(49, "whole-float.json", Fate.ACCEPTED, _raw("steps", "5.0")),
    Case(50, "list.json", Fate.REFUSED, content(f"[{JOB}]"), "a list", "a job is one JSON object"),
    Case(50, "null.json", Fate.REFUSED, content("null"), "null", "a job is one JSON object"),
    Case(50, "number.json", Fate.REFUSED, content("7"), "scalar", "a job is one JSON object"),
    Case(51, "two.json", Fate.REFUSED, content(f"{JOB}\n{JOB}"), "line 2, column 1", "mend"),
    Case(52, "prompt.json", Fate.ACCEPTED, _with("prompt", f"a\x1b[2J\nERROR forged {LRI_CSI}")),
    Case(52, "field.json", Fate.REFUSED, _with(f"{LRI_CSI}\nERROR forged", 1), "no such", "known"),
    Case(52, "html.json", Fate.ACCEPTED, _with("prompt", "<script>alert(1)</script>")),
    Case(
        54, "model.json", Fate.REFUSED, _with("model", "../../etc/passwd"), "no model", "there are"
    ),
    Case(
        54, "model-bidi.json", Fate.REFUSED, _with("model", LRI_CSI), "no model", "there are tiny"
    ),
    Case(
        54, "lora.json", Fate.REFUSED, _with("loras", [{"id": "/etc/x"}]), "no LoRA", "available:"
    ),
    Case(54, "sampler.json", Fate.REFUSED, _with("sampler", "../x"), "unknown", "there are euler"),
    Case(54, "label.json", Fate.ACCEPTED, _with("name", "../../etc/cron.d/x")),
    Case(0, "slashes.json", Fate.ACCEPTED, content(f"// a job\n{JOB} // end")),
    Case(0, "stars.json", Fate.ACCEPTED, content(f"/* a\njob */ {JOB} /**/")),
    Case(0, "many-keys.json", Fate.REFUSED, content(MANY_KEYS), "no such field", "known fields"),
    Case(0, "many-loras.json", Fate.REFUSED, _with("loras", [{}] * 10**5), "loras: ", "at most 16"),
]

CASES = [*KINDS, *NAMES, *DOCUMENTS]
