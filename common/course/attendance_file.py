"""The attendance's SQLite file: private, checked when opened, and every commit on disk.

The journal is a write-ahead log with ``synchronous=FULL``: every commit ends in an fsync, and a process
killed at any moment leaves a file that holds each commit or nothing of it. The signing key lies in the same
file, which only its owner may read; so a restart knows every cookie and code again.

========== ============================================================================
table      holds
========== ============================================================================
settings   the signing key
lectures   number, when opened, when closed
presences  one row a lecture and member: present or not, by scan or by hand, which device
events     what happened, refusals included; nothing is ever changed here
========== ============================================================================
"""

from __future__ import annotations

import os
import secrets
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
            raise StoreError(f"{path} is no attendance file that this version reads: {error}") from error
        self.key: bytes = self.rows("SELECT value FROM settings WHERE name = 'key'")[0][0]

    def rows(self, statement: str, values: tuple = ()) -> list[tuple]:
        """What a query finds."""
        with self._lock:
            try:
                return self._connection.execute(statement, values).fetchall()
            except sqlite3.Error as error:
                raise StoreError(f"{self.path} cannot be read: {error}") from error

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All that the block writes, or nothing of it; on disk when the block has ended."""
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


def _make_private(path: Path, *, create: bool) -> None:
    """Let only the owner read the file, for it holds the key; SQLite gives its journals the same rights."""
    if path.exists():
        if not path.is_file():
            raise StoreError(f"{path} is no regular file")
        if path.stat().st_mode & 0o077:
            path.chmod(0o600)
        return
    if not create:
        raise FileNotFoundError(f"{path} is not there: nothing has been recorded yet")
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    if hasattr(os, "O_DIRECTORY"):  # the new name, too, is on disk before anything is told
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
