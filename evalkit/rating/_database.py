"""Transactions that are on the disk when they return, on SQLite and on PostgreSQL."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar

import sqlalchemy as sa

from evalkit.errors import EvalkitError
from evalkit.rating._schema import METADATA, VIEWS

T = TypeVar("T")


class Database:
    """The tables and views of `evalkit.rating._schema`, made when they are missing.

    Safe for many threads and processes. For the arguments see `evalkit.rating.Store`.
    """

    def __init__(self, database: Path | str, schema: str = "evalkit") -> None:
        if isinstance(database, Path):
            database.parent.mkdir(parents=True, exist_ok=True)
            database.touch(mode=0o600)
            database = f"sqlite:///{database}"
        self._is_sqlite = database.startswith("sqlite")
        # SQLite's own waiting sleeps in steps and is unfair
        self._lock = Lock() if self._is_sqlite else nullcontext()
        self._turn, self._waiting = Lock(), deque[_Job]()
        if self._is_sqlite:
            self.engine = sa.create_engine(database)
            sa.event.listen(self.engine, "connect", _set_up_sqlite)
            sa.event.listen(self.engine, "begin", _begin_sqlite)
        else:
            options = f'-csearch_path="{schema}"'
            self.engine = sa.create_engine(database, connect_args={"options": options})
        with self.write() as connection:
            if not self._is_sqlite:
                # two that create at once must not collide
                connection.exec_driver_sql("SELECT pg_advisory_xact_lock(70)")
                connection.exec_driver_sql(f'CREATE SCHEMA IF NOT EXISTS "{schema}"')
            METADATA.create_all(connection)
            known = sa.inspect(connection).get_view_names()
            for name, query in VIEWS.items():
                if name not in known:
                    connection.exec_driver_sql(f"CREATE VIEW {name} AS {query}")

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """A transaction that may write; committed to the disk when the block ends."""
        with self._lock, self.engine.connect() as connection:
            connection = connection.execution_options(writes=True)
            with connection.begin():
                yield connection

    def transact(self, work: Callable[[sa.Connection], T]) -> T:
        """Do `work` in a transaction; its result, once all of it is on the disk.

        With SQLite, all who wait while one commit is being written share the next one:
        a disk that syncs slowly delays many subjects no more than one. Work that
        raises an `EvalkitError` leaves nothing behind and disturbs no other.
        """
        if not self._is_sqlite:
            with self.write() as connection:
                return work(connection)
        job = _Job(work)
        self._waiting.append(job)
        with self._turn:
            if not job.outcome.done():
                first = len(self._waiting)
                jobs = dict.fromkeys(
                    [*(self._waiting.popleft() for _ in range(first)), job]
                )
                with self.write() as connection:
                    publish = [each.attempt(connection) for each in jobs]
                for say in publish:
                    say()
        result: T = job.outcome.result()
        return result

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """A transaction that sees one state."""
        with self.engine.connect() as connection:
            yield connection


class _Job:
    """Work of one thread, done by whichever thread commits next."""

    def __init__(self, work: Callable[[sa.Connection], Any]) -> None:
        self._work, self.outcome = work, Future[Any]()

    def attempt(self, connection: sa.Connection) -> Callable[[], None]:
        """Do the work; what is returned tells the outcome, once it is committed."""
        try:
            with connection.begin_nested():
                return partial(self.outcome.set_result, self._work(connection))
        except EvalkitError as error:
            return partial(self.outcome.set_exception, error)


def _set_up_sqlite(connection: Any, _: Any) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves
    for pragma in (
        "busy_timeout=30000",
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        "secure_delete=ON",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: sa.Connection) -> None:
    # a reader that turns writer would be refused when another has written since
    writes = connection.get_execution_options().get("writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
