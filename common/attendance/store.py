"""Who was here: what is recorded, by scan or by hand, and what was refused.

A name is on disk before `AttendanceStore.record` returns, so before its phone is told.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from common.attendance.refusals import Refusal
from common.base.files import workplace
from common.base.text import printable

# ----------------------------------------------------------------------------------------------------
# The attendance's SQLite file: private, checked when opened, and every commit on disk.
#
# The journal is a write-ahead log with ``synchronous=FULL``: every commit ends in an fsync, and a process
# killed at any moment leaves a file that holds each commit or nothing of it. The signing key lies in the same
# file, which only its owner may read; so a restart knows every cookie and code again.
#
# ========== ============================================================================
# table      holds
# ========== ============================================================================
# settings   the signing key
# lectures   number, when opened, when closed
# presences  one row per lecture and member: present or not, by scan or by hand, which device
# remarks    late or excused, where a presence (or an absence) is one of these
# events     what happened, refusals included; nothing is ever changed here
# ========== ============================================================================

_APPLICATION = 0x646E6E63  # "dnnc"
_VERSION = 1
_SCHEMA = (
    "CREATE TABLE settings (name TEXT PRIMARY KEY, value BLOB NOT NULL)",
    "CREATE TABLE lectures (number INTEGER PRIMARY KEY, opened_at REAL NOT NULL, closed_at REAL)",
    """CREATE TABLE presences (
        lecture INTEGER NOT NULL, member TEXT NOT NULL,
        is_present INTEGER NOT NULL CHECK (is_present IN (0, 1)),
        source TEXT NOT NULL CHECK (source IN ('scan', 'manual')),
        at REAL NOT NULL, device TEXT, address TEXT, PRIMARY KEY (lecture, member))""",
    "CREATE UNIQUE INDEX one_name_a_device ON presences (lecture, device) WHERE device IS NOT NULL",
    """CREATE TABLE events (
        number INTEGER PRIMARY KEY, at REAL NOT NULL, lecture INTEGER NOT NULL, kind TEXT NOT NULL,
        member TEXT, device TEXT, address TEXT, detail TEXT NOT NULL)""",
    "CREATE INDEX events_of_lecture ON events (lecture, kind)",
    f"PRAGMA application_id = {_APPLICATION}",
    f"PRAGMA user_version = {_VERSION}",
)


_REMARKS = """CREATE TABLE IF NOT EXISTS remarks (
    lecture INTEGER NOT NULL, member TEXT NOT NULL,
    remark TEXT NOT NULL CHECK (remark IN ('late', 'excused')),
    PRIMARY KEY (lecture, member))"""


class StoreError(ValueError):
    """The attendance file cannot be used: not ours, damaged, locked, or the disk is full."""


class AttendanceFile:
    """One connection to the file, shared by threads; several processes may hold one each.

    Parameters
    ----------
    path : path
        Made, with its folder, when missing.
    create : bool
        False: a missing file is an error.

    Raises
    ------
    StoreError
        The file is another program's, damaged, or locked.
    FileNotFoundError
        It is missing, and `create` is False.
    """

    def __init__(self, path: Path, *, create: bool = True) -> None:
        self.path, self._lock = path, threading.Lock()
        _make_private(path, create=create)
        self._connection = sqlite3.connect(path, timeout=10, isolation_level=None, check_same_thread=False)
        try:
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = FULL")
            self._connection.execute("PRAGMA fullfsync = ON")  # macOS: past the drive's own cache
            self._prepare()
            found = self._connection.execute("PRAGMA quick_check").fetchone()[0]
            if found != "ok":
                raise StoreError(f"damaged, restore it from a copy ({found})")
        except (sqlite3.Error, StoreError) as error:
            self._connection.close()
            raise StoreError(f"{path} is not an attendance file that this version reads: {error}") from error
        self.key: bytes = self.rows("SELECT value FROM settings WHERE name = 'key'")[0][0]

    def rows(self, statement: str, values: tuple = ()) -> list[tuple]:
        """The rows that a query finds."""
        with self._lock:
            try:
                return self._connection.execute(statement, values).fetchall()
            except sqlite3.Error as error:
                raise StoreError(f"{self.path} cannot be read: {error}") from error

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Keep all that the block writes, or nothing of it; it is on disk once the block has ended."""
        with self._lock:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                try:
                    yield self._connection
                    self._connection.execute("COMMIT")
                finally:
                    if self._connection.in_transaction:
                        self._connection.execute("ROLLBACK")
            except sqlite3.Error as error:
                raise StoreError(f"{self.path} cannot be written: {error}") from error

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def _prepare(self) -> None:
        with self.transaction() as connection:
            application = connection.execute("PRAGMA application_id").fetchone()[0]
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            is_empty = not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
            if is_empty:
                for statement in _SCHEMA:
                    connection.execute(statement)
                connection.execute("INSERT INTO settings VALUES ('key', ?)", (secrets.token_bytes(32),))
            elif (application, version) != (_APPLICATION, _VERSION):
                raise StoreError(f"application {application}, version {version}, expected version {_VERSION}")
            connection.execute(_REMARKS)  # files of earlier versions have none; those versions ignore it


def _make_private(path: Path, *, create: bool) -> None:
    """Let only the owner read the file, for it holds the key; SQLite gives its journals the same rights."""
    if path.exists():
        if not path.is_file():
            raise StoreError(f"{path} is not a regular file")
        if path.stat().st_mode & 0o077:
            path.chmod(0o600)
        return
    if not create:
        raise FileNotFoundError(f"{path} is not there: nothing has been recorded yet")
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    if hasattr(
        os, "O_DIRECTORY"
    ):  # so that the new file's name, too, is on disk before a phone gets an answer
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


DEFAULT_STORE = workplace() / "attendance" / "attendance.sqlite3"
MAX_REFUSALS = 5000  # logged per lecture, so that a flood of them does not fill the disk


@dataclass(frozen=True)
class Opening:
    """A lecture's attendance: when it was opened (seconds since 1970), and when closed, if so."""

    number: int
    opened_at: float
    closed_at: float | None


@dataclass(frozen=True)
class Presence:
    """One member in one lecture; `source` is ``scan`` or ``manual``, `at` seconds since 1970."""

    lecture: int
    member: str
    is_present: bool
    source: str
    at: float
    device: str | None
    address: str | None


@dataclass(frozen=True)
class Event:
    """Something that happened: ``recorded``, ``closed``, ``refused: stale``, ..."""

    at: float
    lecture: int
    kind: str
    member: str | None
    device: str | None
    address: str | None
    detail: str


class AttendanceStore:
    """The attendance file; threads share one store, and several processes one file.

    Parameters
    ----------
    path : path
        Made, with its folder, when missing.
    create : bool
        False: a missing file is an error.
    clock : callable
        Seconds since 1970.

    Raises
    ------
    StoreError
        The file is another program's, damaged, or locked.
    FileNotFoundError
        It is missing, and `create` is False.
    """

    def __init__(
        self, path: str | Path = DEFAULT_STORE, *, create: bool = True, clock: Callable[[], float] = time.time
    ) -> None:
        self._file, self._clock = AttendanceFile(Path(path), create=create), clock

    @property
    def key(self) -> bytes:
        """The secret with which codes and cookies are signed."""
        return self._file.key

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def open_lecture(self, number: int, *, reopen: bool = False) -> Opening:
        """Open a lecture's attendance, or go on with it.

        Raises
        ------
        StoreError
            It was closed, and `reopen` is False.
        """
        opening = self.opening(number)
        if opening is None or opening.closed_at is not None:
            if opening is not None and not reopen:
                raise StoreError(f"attendance of lecture {number} is closed: add --reopen to open it again")
            with self._file.transaction() as connection:
                connection.execute(
                    "INSERT INTO lectures VALUES (?, ?, NULL) "
                    "ON CONFLICT (number) DO UPDATE SET closed_at = NULL",
                    (number, self._clock()),
                )
                self._log(connection, number, "opened" if opening is None else "reopened")
        return self.opening(number)

    def close_lecture(self, number: int) -> Opening:
        """End a lecture's attendance: from now on nobody is recorded, not even by a running server.

        Raises
        ------
        StoreError
            It was never opened.
        """
        opening = self.opening(number)
        if opening is None:
            raise StoreError(f"attendance of lecture {number} was never opened")
        if opening.closed_at is None:
            with self._file.transaction() as connection:
                connection.execute(
                    "UPDATE lectures SET closed_at = ? WHERE number = ?", (self._clock(), number)
                )
                self._log(connection, number, "closed")
        return self.opening(number)

    def opening(self, number: int) -> Opening | None:
        """When a lecture was opened and closed; None if never."""
        return next((opening for opening in self.openings() if opening.number == number), None)

    def openings(self) -> list[Opening]:
        """Every lecture that was opened, by number."""
        return [Opening(*row) for row in self._file.rows("SELECT * FROM lectures ORDER BY number")]

    def record(
        self, lecture: int, member: str, *, device: str, address: str, is_late: bool = False
    ) -> Presence:
        """Record a member who scanned the code; when it returns, the name is on disk.

        The same device and name once more changes nothing.

        Parameters
        ----------
        lecture : int
        member : str
            A name of the roster; the caller has to check that.
        device, address : str
            The phone's random number, and the fingerprint of its address (`AttendanceSigner.address_mark`).
        is_late : bool
            Whether the scan came too late; a member who was marked present before stays on time.

        Raises
        ------
        Refusal
            ``closed``, ``second_name`` (the phone has recorded another one), ``name_taken`` (from another
            phone) or ``by_hand`` (the member was marked absent).
        StoreError
            It could not be written.
        """
        with self._file.transaction() as connection:
            theirs = _presence(connection, "lecture = ? AND device = ?", lecture, device)
            if theirs is not None and theirs.member == member:
                return theirs
            closed = connection.execute(
                "SELECT closed_at IS NOT NULL FROM lectures WHERE number = ?", (lecture,)
            ).fetchone()
            if closed is None or closed[0]:
                raise Refusal("closed", f"asked for {member}")
            if theirs is not None:
                raise Refusal("second_name", f"asked for {member}, has recorded {theirs.member}")
            before = _presence(connection, "lecture = ? AND member = ?", lecture, member)
            if before is not None and not before.is_present:
                raise Refusal("by_hand", f"asked for {member}")
            if before is not None and before.device is not None:
                raise Refusal("name_taken", f"asked for {member}")
            at = self._clock()
            # One who was marked present by hand may scan as well: the row then knows the phone.
            connection.execute(
                "INSERT INTO presences VALUES (?, ?, 1, 'scan', ?, ?, ?) ON CONFLICT (lecture, member) "
                "DO UPDATE SET device = excluded.device, address = excluded.address",
                (lecture, member, at, device, address),
            )
            if is_late and before is None:
                _remark(connection, lecture, member, "late")
            self._log(connection, lecture, "recorded", member=member, device=device, address=address)
            return _presence(connection, "lecture = ? AND member = ?", lecture, member)

    def mark(self, lecture: int, member: str, *, is_present: bool, remark: str = "") -> Presence:
        """Set a member's attendance by hand, whether or not the lecture is open.

        If the member is marked absent, the phone that recorded them may record another name afterwards.

        Parameters
        ----------
        lecture : int
        member : str
        is_present : bool
        remark : {"", "late", "excused"}
            ``late`` is for members present, ``excused`` for those absent.
        """
        with self._file.transaction() as connection:
            at = self._clock()
            connection.execute(
                "INSERT INTO presences VALUES (?, ?, ?, 'manual', ?, NULL, NULL) "
                "ON CONFLICT (lecture, member) DO UPDATE "
                "SET is_present = excluded.is_present, source = 'manual', at = excluded.at, "
                "device = CASE WHEN excluded.is_present THEN device END, "
                "address = CASE WHEN excluded.is_present THEN address END",
                (lecture, member, int(is_present), at),
            )
            _remark(connection, lecture, member, remark)
            kind = f"marked {remark or ('present' if is_present else 'absent')}"
            self._log(connection, lecture, kind, member=member)
            return _presence(connection, "lecture = ? AND member = ?", lecture, member)

    def unmark(self, lecture: int, member: str) -> bool:
        """Take back what is recorded of a member in a lecture, by hand or by phone; False if nothing is."""
        with self._file.transaction() as connection:
            where = "lecture = ? AND member = ?"
            found = connection.execute(f"DELETE FROM presences WHERE {where}", (lecture, member)).rowcount
            connection.execute(f"DELETE FROM remarks WHERE {where}", (lecture, member))
            if found:
                self._log(connection, lecture, "taken back", member=member)
            return bool(found)

    def forget_lecture(self, number: int, *, force: bool = False) -> int:
        """Take back a lecture that was opened, or marked in, by mistake. The log keeps what happened.

        Returns
        -------
        int
            How many members' rows were deleted with it.

        Raises
        ------
        StoreError
            Phones are recorded in it, and `force` is False; or it was not held.
        """
        rows, opening = self.presences(number), self.opening(number)
        if not rows and opening is None:
            raise StoreError(f"lecture {number} was not held: there is nothing to take back")
        scanned = sum(one.source == "scan" for one in rows)
        if scanned and not force:
            raise StoreError(
                f"phones have recorded {scanned} members in lecture {number}: --force forgets them"
            )
        with self._file.transaction() as connection:
            for table, column in (("presences", "lecture"), ("remarks", "lecture"), ("lectures", "number")):
                connection.execute(f"DELETE FROM {table} WHERE {column} = ?", (number,))
            names = ", ".join(one.member for one in rows)
            self._log(connection, number, "lecture taken back", detail=names)
        return len(rows)

    def remarks(self) -> dict[tuple[int, str], str]:
        """``late`` or ``excused`` by lecture and member."""
        rows = self._file.rows("SELECT lecture, member, remark FROM remarks")
        return {(lecture, member): remark for lecture, member, remark in rows}

    def presences(self, lecture: int | None = None) -> list[Presence]:
        """All rows, or those of one lecture, in the order of their times."""
        where, values = ("WHERE lecture = ? ", (lecture,)) if lecture is not None else ("", ())
        rows = self._file.rows(f"SELECT * FROM presences {where}ORDER BY at, member", values)
        return [_presence_of(row) for row in rows]

    def presence_of_device(self, lecture: int, device: str) -> Presence | None:
        """What a phone has recorded in a lecture; None if nothing."""
        rows = self._file.rows("SELECT * FROM presences WHERE lecture = ? AND device = ?", (lecture, device))
        return _presence_of(rows[0]) if rows else None

    def last_member(self, device: str) -> str | None:
        """The member whom a phone has recorded last, in any lecture; None if nobody."""
        rows = self._file.rows(
            "SELECT member FROM presences WHERE device = ? ORDER BY at DESC LIMIT 1", (device,)
        )
        return rows[0][0] if rows else None

    def log_refusal(self, lecture: int, refusal: Refusal, *, device: str | None, address: str) -> None:
        """Write a refusal down, up to `MAX_REFUSALS` per lecture."""
        with self._file.transaction() as connection:
            count = connection.execute(
                "SELECT count(*) FROM events WHERE lecture = ? AND kind GLOB 'refused: *'", (lecture,)
            ).fetchone()[0]
            if count < MAX_REFUSALS:
                self._log(
                    connection,
                    lecture,
                    f"refused: {refusal.kind}",
                    device=device,
                    address=address,
                    detail=refusal.detail,
                )

    def events(self, lecture: int | None = None) -> list[Event]:
        """What happened, in order, in all lectures or in one."""
        where, values = ("WHERE lecture = ? ", (lecture,)) if lecture is not None else ("", ())
        columns = "at, lecture, kind, member, device, address, detail"
        return [
            Event(*row)
            for row in self._file.rows(f"SELECT {columns} FROM events {where}ORDER BY number", values)
        ]

    def _log(
        self,
        connection: sqlite3.Connection,
        lecture: int,
        kind: str,
        *,
        member: str | None = None,
        device: str | None = None,
        address: str | None = None,
        detail: str = "",
    ) -> None:
        row = (self._clock(), lecture, kind, member, device, address, printable(detail)[:200])
        connection.execute("INSERT INTO events VALUES (NULL, ?, ?, ?, ?, ?, ?, ?)", row)


def _remark(connection: sqlite3.Connection, lecture: int, member: str, remark: str) -> None:
    connection.execute("DELETE FROM remarks WHERE lecture = ? AND member = ?", (lecture, member))
    if remark:
        connection.execute("INSERT INTO remarks VALUES (?, ?, ?)", (lecture, member, remark))


def _presence(connection: sqlite3.Connection, where: str, *values: object) -> Presence | None:
    row = connection.execute(f"SELECT * FROM presences WHERE {where}", values).fetchone()
    return None if row is None else _presence_of(row)


def _presence_of(row: tuple) -> Presence:
    lecture, member, is_present, *rest = row
    return Presence(lecture, member, bool(is_present), *rest)
