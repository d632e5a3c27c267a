"""What a spool owes the disk: replays effects, and notes each that breaks the order of PROTOCOL.md.

A file owes a sync before it gets a name that counts, and the name one of its directory before
the action returns or anything builds on the name. It is a model without mercy: what no sync
covers is not on the disk, whatever ext4, xfs or btrfs bring along with the sync of another.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from spool.ids import is_job_id
from spool.layout import Spool
from spool.records import read_record
from spool.states import TicketName
from spool.tickets import Ticket
from tests.spool.effects import (
    AllSynced,
    DirectoryMade,
    Effect,
    Linked,
    Moved,
    Removed,
    Synced,
    Written,
)

_OWING = frozenset({"queued", "seen", "done", "gallery", "outgoing", "rejected"})
"""Where every name counts. A claim's, and what is live, is undone by a power cut without harm."""


@dataclass(slots=True)
class _File:
    synced: bool = False


@dataclass
class Ledger:
    """The files and names of `spool`, and what of them is on the disk.

    To be made before the effects happen, since all that is there by then counts as durable, and
    read after them, since the rules look into the finished files for what they name.
    """

    spool: Spool
    violations: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._files = {path: _File(synced=True) for path in self.spool.root.rglob("*")}
        self._unsynced: dict[Path, set[Path]] = {}
        self._given: list[tuple[Path, Path]] = []
        self._queued_at: dict[str, Path] = {}

    def replay(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            self._replay(effect)

    def returned(self) -> None:
        """The action returned: the names it gave must be durable."""
        for directory, name in self._given:
            if name in self._unsynced.get(directory, ()):
                self._note(f"{self._show(directory)} is not synced after {self._show(name)}")
        self._given.clear()

    def _replay(self, effect: Effect) -> None:
        match effect:
            case Written(path):
                self._file(path).synced = False
            case Synced(path):
                self._file(path).synced = True
                self._unsynced.pop(path, None)
            case AllSynced():
                self._unsynced.clear()
                for file in self._files.values():
                    file.synced = True
            case Linked(source, target):
                self._name(source, target, self._file(source))
            case Moved(source, target):
                self._name(source, target, self._files.pop(source, _File(synced=True)))
                self._leave(source, target)
            case DirectoryMade(path):
                self._files[path] = _File(synced=True)
                if self._place(path) in _OWING:
                    self._owe(path.parent, path)
            case Removed(path):
                self._remove(path)
                self._files.pop(path, None)

    def _file(self, path: Path) -> _File:
        return self._files.setdefault(path, _File())

    def _name(self, source: Path, target: Path, file: _File) -> None:
        self._files[target] = file
        place = self._place(target)
        # A put-back, which is as good undone.
        if place not in _OWING or self._place(source) == "active":
            return
        if not file.synced:
            self._note(f"{self._show(target)} is given to a file that is not synced")
        self._owe(target.parent, target)
        if place == "queued" and (name := TicketName.parse(target.name)):
            self._queued_at[name.job_id] = target
        if place == "done":
            self._require(f"{self._show(target)} comes", self._pictures(target.stem))
        if place == "outgoing" and target.name == "result.json":
            self._require(f"{self._show(target)} comes", self._delivered(target.parent))

    def _leave(self, source: Path, target: Path) -> None:
        """A name that counts must not be in the old directory too; others mean nothing there."""
        if self._place(source) in {*_OWING, "held"} and self._place(target) in _OWING:
            self._owe(source.parent, target)

    def _owe(self, directory: Path, name: Path) -> None:
        self._unsynced.setdefault(directory, set()).add(name)
        self._given.append((directory, name))

    def _remove(self, path: Path) -> None:
        place, event = self._place(path), f"{self._show(path)} goes"
        self._unsynced.get(path.parent, set()).discard(path)
        if place == "incoming":
            self._require_any(event, self._heirs_of_drop(path))
        elif place in {"queued", "active", "held"} and (name := TicketName.parse(path.name)):
            self._require(event, self._heirs_of_ticket(name.job_id))
        elif path.parent == self.spool.pending and is_job_id(path.stem):
            self._require(event, self._heirs_of_intent(path))

    def _pictures(self, job_id: str) -> list[Path]:
        record = read_record(self.spool, job_id)
        assert record is not None, f"{job_id} lost its record"
        folder = self.spool.gallery / self.spool.record(job_id).parent.relative_to(self.spool.done)
        pictures = [folder / image.filename for image in record.images]
        return pictures + [picture.with_suffix(".thumb.webp") for picture in pictures]

    def _delivered(self, folder: Path) -> list[Path]:
        record = read_record(self.spool, folder.name)
        assert record is not None, f"{folder.name} lost its record"
        names = [image.filename for image in record.images]
        return [folder / name for name in [*names, "SHA256SUMS"] if names]

    def _heirs_of_drop(self, path: Path) -> list[Path]:
        """The names of which one must be durable before the drop `path` may go."""
        name = path.relative_to(self.spool.incoming)
        name = name.with_name(name.name.removeprefix(".genzo-taken."))
        heirs = [self.spool.rejected / name]
        for key in self.spool.seen.glob("[!p]*/*"):
            try:
                ticket = Ticket.decode(key.read_bytes())
            except (ValueError, KeyError):  # of a drop that was refused
                continue
            if ticket.drop_name == name.as_posix() and ticket.job_id in self._queued_at:
                heirs.append(self._queued_at[ticket.job_id])
        return heirs

    def _heirs_of_ticket(self, job_id: str) -> list[Path]:
        record = read_record(self.spool, job_id)
        heirs = [self.spool.record(job_id)]
        if record is not None and record.drop_name is not None:
            heirs += self.spool.outgoing.glob(f"**/{job_id}/result.json")
        return heirs

    def _heirs_of_intent(self, intent: Path) -> list[Path]:
        """The job, if its key is its own; else another job's is, and nothing was accepted."""
        file = self._file(intent)
        keys = [path for path, other in self._files.items() if other is file and path != intent]
        keys = [path for path in keys if self._place(path) == "seen"]
        return [*keys, self._queued_at.get(intent.stem, self.spool.queued / "?")] if keys else []

    def _require(self, event: str, needed: Iterable[Path]) -> None:
        for path in needed:
            if not self._is_durable(path):
                self._note(f"{event} before {self._show(path)} is durable")

    def _require_any(self, event: str, needed: list[Path]) -> None:
        if not any(self._is_durable(path) for path in needed):
            self._note(f"{event} before {' or '.join(map(self._show, needed))} is durable")

    def _is_durable(self, path: Path) -> bool:
        file = self._files.get(path)
        named = path not in self._unsynced.get(path.parent, ())
        # A synced directory brings those above it along on ext4, xfs and btrfs alike, as
        # test_device_images shows; made anew and synced by another, they cost no further sync.
        return file is not None and file.synced and named

    def _place(self, path: Path) -> str:
        """The directory of PROTOCOL.md that `path` lies in; none outside the spool."""
        if self.spool.root not in path.parents:
            return ""
        parts = path.relative_to(self.spool.root).parts
        return parts[1] if parts[0] == "work" and len(parts) > 1 else parts[0]

    def _note(self, violation: str) -> None:
        self.violations.append(violation)

    def _show(self, path: Path) -> str:
        return path.relative_to(self.spool.root).as_posix()
