"""The audit record of this process: decisions are noted on the event loop, and written by a thread beside it."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Literal

from llmauth import __version__
from llmauth.audit.chain import BEGINNING, next_line
from llmauth.audit.commits import Committer
from llmauth.audit.heads import Signer, signer_for
from llmauth.audit.records import Record, Stopped, facts
from llmauth.audit.segments import MOST_UNSIGNED, Segment, begin, new_name, starting
from llmauth.audit.survey import Surroundings, survey
from llmauth.audit.tickets import STUCK_SECONDS, Ticket, not_recorded, settle
from llmauth.clock import Clock
from llmauth.storage.home import StateError, StateUnusable, prepare

logger = logging.getLogger(__name__)

ROTATE_AT = 64 * 1024 * 1024
MOST_WAITING = 10_000
# As many as are formatted in half a millisecond, for which the thread keeps the interpreter to itself.
_BATCH = MOST_UNSIGNED
# How often the log is told how far the record goes: wherever logs are kept, nobody can put an old record there.
_TELL_SECONDS = 3600.0
# To write records one by one costs more than to make them; a provider takes longer than this.
_GATHER_SECONDS = 0.003
# How often a file is looked after while nothing is written, and another one tried where it could not be.
_LOOK_SECONDS = 1.0


class AuditLog:
    """Writes to one file of its own. Where it cannot, `note` refuses, and it tries a fresh file every second.

    Two grades: a record is written when the operating system has it, which survives the death of this process; a
    durable one when the disk has it. The first kind reaches the disk within about a second.
    """

    def __init__(self, home: Path, clock: Clock, *, rotate_at: int = ROTATE_AT) -> None:
        self._home = home
        self._clock = clock
        self._rotate_at = rotate_at
        self._queue: SimpleQueue[Ticket | None] = SimpleQueue()
        self._later: deque[Ticket] = deque()
        self._lock = threading.Lock()
        self._hurry = threading.Event()
        self._committer = Committer(clock, self._committed)
        self._thread = threading.Thread(target=self._run, name="audit-write", daemon=True)
        self._taken: list[Ticket] = []
        self._since: float | None = None
        self._open = self._started = False
        self._broken = ""
        self._told_at = clock.monotonic()
        self._told = BEGINNING
        self._segment: Segment
        self._signer: Signer

    # ---- for whoever decides -----------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin a file and the threads. StateError when that cannot be done: then there is no start. Blocking."""
        prepare(self._home)
        self._signer = signer_for(self._home)
        try:
            self._segment = self._begin("start", survey(self._home, self._signer))
            self._segment.sync()
        except OSError as error:
            raise StateUnusable(f"The audit record in {self._home} cannot be written: {error.strerror}.") from None
        self._tell_head()
        self._open = self._started = True
        self._committer.start()
        self._thread.start()

    def usable(self) -> bool:
        """Whether what is decided can be recorded; from memory. A write or commit of over five seconds is a no."""
        if not self._open or self._broken:
            return False
        since, other = self._since, self._committer.since
        if since is None and other is None:
            return True
        before = self._clock.monotonic() - STUCK_SECONDS
        return (since is None or since >= before) and (other is None or other >= before)

    def note(self, record: Record, *, durable: bool = False, gathered: bool = False) -> Ticket:
        """Have a record written, in the order of the calls; from any thread, in microseconds, without a lock.

        `gathered` lets it wait some milliseconds for others, unless somebody waits for it: to be used where many come.
        Unavailable when records cannot be written, or too many wait.
        """
        self.require_usable()
        ticket = Ticket(record, self._clock.wall(), durable, self._lock, self._hurry, gathered)
        self._queue.put(ticket)
        return ticket

    def note_later(self, record: Record) -> None:
        """Have a record written for which nobody waits: with the next one, or within a second.

        To wake the thread costs more than to write. Unavailable as for `note`.
        """
        self.require_usable()
        self._later.append(Ticket(record, self._clock.wall(), False, self._lock, self._hurry))

    def require_usable(self) -> None:
        """Unavailable when records cannot be written, or too many wait; from memory."""
        if not self.usable() or self.waiting >= MOST_WAITING:
            raise not_recorded(self._broken or "it does not write, or not fast enough")

    @property
    def waiting(self) -> int:
        """How many records are noted and not yet written."""
        return self._queue.qsize() + len(self._later)

    @property
    def file(self) -> str:
        """The name of the file that is written now."""
        return self._segment.name

    def stop(self, timeout: float = STUCK_SECONDS) -> bool:
        """Write what waits, and that this is the end; whether all of it reached the disk in time. Blocking."""
        if not self._started:
            return True
        self._open = self._started = False
        self._queue.put(None)
        self._thread.join(timeout)
        ended = not self._thread.is_alive() and self._committer.stop(timeout)
        if not ended or self._broken:
            logger.error("audit record was not written to its end", extra={"file": self.file, "cause": self._broken})
        return ended and not self._broken

    # ---- the thread --------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._write_all()
        except BaseException:
            self._broken = "its thread has ended"
            raise
        finally:
            # However it came to its end: nothing is allowed any more, and nobody waits for what came too late.
            self._open = False
            settle([*self._taken, *self._left()], self._lock, written=False)

    def _write_all(self) -> None:
        last = False
        while not last:
            batch = self._take()
            last = None in batch
            self._since = self._clock.monotonic()
            self._taken = [ticket for ticket in batch if ticket is not None]
            self._meet(self._taken, last)
            self._taken = []
            self._since = None

    def _left(self) -> Iterator[Ticket]:
        yield from self._later
        with suppress(Empty):
            while True:
                ticket = self._queue.get_nowait()
                if ticket is not None:
                    yield ticket

    def _take(self) -> list[Ticket | None]:
        batch: list[Ticket | None] = []
        with suppress(Empty):
            batch.append(self._queue.get(timeout=_LOOK_SECONDS))
            if batch[0] is not None and batch[0].gathered:
                self._hurry.wait(_GATHER_SECONDS)
                self._hurry.clear()
            while batch[-1] is not None and len(batch) < _BATCH:
                batch.append(self._queue.get_nowait())
        quiet = [self._later.popleft() for _ in range(len(self._later))]
        return [*quiet, *batch]

    def _meet(self, batch: list[Ticket], last: bool) -> None:
        try:
            if self._broken:
                self._recover()
            self._write(batch)
        except Exception as error:  # whatever it is: nothing is allowed before it writes again
            self._fail(error, batch)
            return
        try:
            self._go_on(last)
        except Exception as error:  # the batch is written, so its tickets keep what they were told
            self._fail(error, [])

    def _go_on(self, last: bool) -> None:
        if last:
            self._end()
        elif self._segment.link.length >= self._rotate_at:
            self._rotate()
        elif self._clock.monotonic() >= self._told_at + _TELL_SECONDS:
            self._tell_head()

    def _write(self, batch: list[Ticket]) -> None:
        link, lines, written = self._segment.link, [], []
        for ticket in batch:
            try:
                line, link = next_line(link, facts(ticket.record), ticket.at)
            except (TypeError, ValueError) as error:
                self._refuse(ticket, error)
                continue
            lines.append(line)
            written.append(ticket)
        if not written:
            self._segment.require_place()
            return
        self._segment.append(b"".join(lines), link)
        settle([ticket for ticket in written if not ticket.durable], self._lock, written=True)
        self._committer.commit(self._segment, [ticket for ticket in written if ticket.durable])

    def _refuse(self, ticket: Ticket, error: Exception) -> None:
        """A record that cannot be one is a fault of ours: its request ends, and the others go on."""
        logger.error("audit record refused", extra={"record": type(ticket.record).__name__, "cause": str(error)})
        settle([ticket], self._lock, written=False)

    def _begin(self, cause: str, others: Surroundings, broken: str | None = None) -> Segment:
        at = self._clock.wall()
        started = starting(new_name(at), cause, follows=others.follows, seen=others.seen, broken=broken)
        return begin(self._home, self._signer, started, at)

    def _rotate(self) -> None:
        full = self._segment
        self._say_end("rotation")
        self._tell_head()
        self._segment = self._begin("rotation", Surroundings(follows=(full.entry,)))
        self._committer.retire(full)
        self._committer.commit(self._segment, [])

    def _recover(self) -> None:
        broken = self._segment
        self._tell_head()
        self._segment = self._begin("recovery", Surroundings(), broken.entry)
        settle(self._committer.retire(broken, broken=True), self._lock, written=False)
        self._segment.sync()
        self._broken = ""
        logger.info("audit record can be written again", extra={"file": self._segment.name})

    def _end(self) -> None:
        self._say_end("stop")
        self._tell_head()
        self._committer.retire(self._segment)

    def _say_end(self, cause: Literal["stop", "rotation"]) -> None:
        told = facts(Stopped(cause=cause, version=__version__))
        self._segment.append(*next_line(self._segment.link, told, self._clock.wall()))

    def _tell_head(self) -> None:
        self._told_at, link = self._clock.monotonic(), self._segment.link
        if link != self._told:
            self._told = link
            logger.info("audit record stands", extra={"file": self.file, "seq": link.seq, "hash": link.hash})

    # ---- when it fails -----------------------------------------------------------------------------------------------

    def _committed(self, tickets: list[Ticket], error: Exception | None) -> None:
        """Told by the other thread."""
        if error is None:
            settle(tickets, self._lock, written=True)
        else:
            self._fail(error, tickets)

    def _fail(self, error: Exception, tickets: list[Ticket]) -> None:
        if not self._broken:
            facts_of_it = {"file": self.file, "error": type(error).__name__, "cause": _cause(error)}
            logger.error("audit record cannot be written, nothing is allowed until it can", extra=facts_of_it)
        self._broken = _cause(error) or type(error).__name__
        settle(tickets, self._lock, written=False)


def _cause(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return str(error) if isinstance(error, StateError) else ""
