"""Taking whole files from the drop box: into the queue, into rejected/, or obeyed as an order.

Many are taken together, since their tickets then share their syncs: read and checked one by one,
accepted at once, the others refused or obeyed behind them, removed one by one. A crash anywhere
leaves each file in incoming/ or already known by its key, so that nothing is lost and nothing
taken twice. What is at fault in one file never stops another.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from spool import acceptance, drops, durable, outgoing, rejections
from spool.acceptance import Sender, key_of
from spool.batches import Ready
from spool.catalogue import Catalogue
from spool.drops import Drop, Signature
from spool.ids import is_job_id
from spool.jobs import parse_request
from spool.layout import Spool
from spool.orders import Order, obey, order_key
from spool.patience import Patience
from spool.problems import Problem
from spool.quoting import printable
from spool.room import is_disk_error
from spool.states import job_ids_with_tickets
from spool.strict_json import parse
from spool.tickets import Ticket

log = logging.getLogger(__name__)

Refusal = tuple[Path, Signature, Problem, str]
"""A file that is refused, why, and the key by which it is known from then on."""


@dataclass(frozen=True, slots=True)
class _Sorted:
    """The files of a batch: to be accepted, to be refused, and dealt with already."""

    drawn: list[tuple[Drop, Ticket]] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    done: list[Ready] = field(default_factory=list)


def _bare(problem: Problem) -> Problem:
    """`problem` without the frames it was raised through: they hold all that was read."""
    return Problem(problem.title, problem.detail, status=problem.status, errors=problem.errors)


class Taker:
    """Takes what is ready; `patience` is told of what was dealt with."""

    def __init__(
        self, spool: Spool, catalogue: Callable[[], Catalogue], patience: Patience
    ) -> None:
        self._spool = spool
        self._catalogue = catalogue
        self._patience = patience
        self._troubles: dict[Path, str] = {}

    def take(self, batch: list[Ready]) -> list[Path]:
        """Take each file; those that another file has replaced meanwhile, to be looked at again.

        Raises OSError if the disk does not let the batch be accepted; then each file not yet
        dealt with is still in incoming/.
        """
        try:
            return self._take(batch)
        except OSError:
            raise
        except Exception as error:
            if len(batch) > 1:
                return [path for ready in batch for path in self.take([ready])]
            self._trouble(batch[0][0], error)
            return []

    def _take(self, batch: list[Ready]) -> list[Path]:
        orders = [ready for ready in batch if Order.parse(self._spool, ready[0]) is not None]
        files = self._read_all([ready for ready in batch if ready not in orders])
        self._accept(files.drawn)
        done = files.done + [(drop.path, drop.signature) for drop, _ in files.drawn]
        for path, signature, problem, key in files.refused:
            with self.apart(path):
                self._refuse(path, signature, problem, key)
                done.append((path, signature))
        for path, signature in orders:
            with self.apart(path):
                self._obey(path, signature)
                done.append((path, signature))
        replaced = []
        for path, signature in done:
            with self.apart(path):
                if not self._discard(path, signature):
                    replaced.append(path)
        return replaced

    def _accept(self, drawn: list[tuple[Drop, Ticket]]) -> None:
        new = acceptance.admit_all(self._spool, [ticket for _, ticket in drawn]) if drawn else []
        for (drop, ticket), is_new in zip(drawn, new, strict=True):
            if is_new:
                shown = printable(drop.name)
                log.info("%s: accepted from incoming/%s", ticket.job_id, shown)

    @contextmanager
    def apart(self, path: Path) -> Iterator[None]:
        """Keep what is wrong with one file from stopping the others; a failing disk's errors go on.

        It is said once, and again when it changes.
        """
        try:
            yield
        except Exception as error:
            if is_disk_error(error):
                raise
            self._trouble(path, error)

    def prune(self, present: Iterable[Path]) -> None:
        """Forget what was said of files that are no longer among those `present`."""
        there = frozenset(present)
        self._troubles = {path: it for path, it in self._troubles.items() if path in there}

    def _trouble(self, path: Path, error: Exception) -> None:
        self._patience.forget(path)
        if isinstance(error, FileNotFoundError) and self._is_gone(path):
            return
        said = f"{type(error).__name__}: {error}"
        if self._troubles.get(path) != said:
            self._troubles[path] = said
            shown = printable(str(path))
            log.error("%s stays until it can be taken: %s", shown, printable(said))

    def _is_gone(self, path: Path) -> bool:
        try:
            drops.look(self._spool, path)
        except FileNotFoundError:
            return True
        return False

    def _living(self, batch: list[Ready]) -> frozenset[str]:
        """The ids that no new job may get, if one of the files wishes for an id."""
        wishes = any(is_job_id(path.stem) for path, _ in batch)
        return frozenset(job_ids_with_tickets(self._spool) if wishes else ())

    def _read_all(self, batch: list[Ready]) -> _Sorted:
        catalogue = self._catalogue()
        living = self._living(batch)
        files = _Sorted()
        try:
            for path, signature in batch:
                with self.apart(path):
                    self._read(path, signature, catalogue, living, files)
        except OSError:
            durable.remove(self._spool.events(ticket.job_id) for _, ticket in files.drawn)
            raise
        return files

    def _read(
        self,
        path: Path,
        signature: Signature,
        catalogue: Catalogue,
        living: frozenset[str],
        files: _Sorted,
    ) -> None:
        """Read one file and put it where it belongs among `files`."""
        try:
            drop = self._open(path)
        except Problem as problem:
            shown = printable(str(self._name(path)))
            key = key_of("drop", shown, signature.size, signature.mtime_ns)
            files.refused.append((path, signature, _bare(problem), key))
            return
        if not signature.is_as(drop.signature):
            # It is being written again. The removal finds that out, and leaves it.
            files.done.append((path, signature))
        elif acceptance.is_known(self._spool, drop.key):
            files.done.append((path, drop.signature))
        else:
            try:
                files.drawn.append((drop, self._draw(drop, catalogue, living)))
            except Problem as problem:
                files.refused.append((path, drop.signature, _bare(problem), drop.key))

    def _open(self, path: Path) -> Drop:
        name = self._name(path)
        if not drops.is_utf8(name):
            raise Problem("Bad file name", "the file's name is not valid UTF-8; rename it")
        if outgoing.is_reserved(name):
            raise Problem(
                "Reserved name", "in a sub-folder nothing may be named like a job's id; rename it"
            )
        try:
            return drops.read(self._spool, path)
        except PermissionError:
            raise Problem(
                "Not readable",
                "the daemon may not read the file; make it readable for the group (chmod g+r)",
                status=403,
            ) from None

    def _draw(self, drop: Drop, catalogue: Catalogue, living: frozenset[str]) -> Ticket:
        request = parse_request(parse(drop.data))
        outgoing.withdraw_problem(self._spool, drop.name)
        wish = None if drop.path.stem in living else drop.path.stem
        sender = Sender("drop", drop.owner_uid, drop.name, drop.key, wish)
        return acceptance.draw_ticket(self._spool, request, catalogue, sender)

    def _obey(self, path: Path, signature: Signature) -> None:
        order = Order.parse(self._spool, path)
        key = order_key(self._spool, path)
        if order is None or acceptance.is_known(self._spool, key):
            return
        try:
            answer = obey(self._spool, order, path, key)
        except Problem as problem:
            self._refuse(path, signature, problem, key)
            return
        outgoing.withdraw_problem(self._spool, path.name)
        acceptance.remember_order(self._spool, key, path.name)
        log.info("%s: %s by a dropped order (%s)", answer.job_id, answer.status, order.verb)

    def _refuse(self, path: Path, signature: Signature, problem: Problem, key: str) -> None:
        if acceptance.is_known(self._spool, key):
            return
        target = rejections.refuse(self._spool, path, signature, problem, key)
        outgoing.deliver_problem(self._spool, self._name(path).as_posix(), problem)
        acceptance.remember_rejection(self._spool, key, problem)
        shown = (printable(text) for text in (str(target), problem.detail))
        log.warning("%s: refused: %s", *shown)

    def _discard(self, path: Path, signature: Signature) -> bool:
        """Remove a file that was dealt with; False if another has taken its place."""
        try:
            removed = drops.discard(self._spool, path, signature)
        except PermissionError:
            self._patience.leave(path)
            log.warning(
                "%s stays: its folder is not ours to change, or it is immutable; it was dealt with "
                "and will not be looked at again until it changes",
                printable(str(path)),
            )
            return True
        self._patience.forget(path)
        return removed

    def _name(self, path: Path) -> Path:
        return path.relative_to(self._spool.incoming)
