"""Transactions that are on the disk when they return, on SQLite and on PostgreSQL."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from threading import Lock
from typing import Any

import sqlalchemy as sa

from evalkit.errors import EvalkitError
from evalkit.rating._schema import METADATA, VIEWS

VERSION = 1
"""The version of the tables. SQLite keeps it as ``user_version``, PostgreSQL as the
comment of the table ``subjects``; the stores of the first evalkit have none."""

WAIT_S = 30

WHAT_TO_DO = {
    "locked": f"another process held it for {WAIT_S} s; end that one and try again",
    "disk is full": "make room and try again",
    "readonly": "give access to the file and its folder",
    "unable to open": "expected a file, in a folder that can be written",
    "not a database": "put back a copy of it, or move it away to begin anew",
    "malformed": "put back a copy of it, or move it away to begin anew",
}
"""What to do, by what the database says; no acknowledged answer is touched."""

COMMENTED = "SELECT obj_description(to_regclass('subjects'), 'pg_class')"
COMMENT = "COMMENT ON TABLE subjects IS"


class RatingsError(EvalkitError):
    """The ratings store cannot be used: damaged, full, locked, of another evalkit."""


class Database:
    """The tables and views of `evalkit.rating._schema`, made when they are missing.

    Safe for many threads and processes. For the arguments see `evalkit.rating.Store`.
    """

    def __init__(self, database: Path | str, schema: str = "evalkit") -> None:
        self._is_sqlite = isinstance(database, Path) or database.startswith("sqlite")
        # SQLite's own waiting sleeps in steps and is unfair
        self._lock = Lock() if self._is_sqlite else nullcontext()
        self._name = str(database)
        with self._errors_as_ours():
            self.engine = self._engine(database, schema)
            self._name = self.engine.url.render_as_string().removeprefix("sqlite:///")
            with self.write() as connection:
                self._make_tables(connection, schema)

    def _engine(self, database: Path | str, schema: str) -> sa.Engine:
        if isinstance(database, Path):
            database.parent.mkdir(parents=True, exist_ok=True)
            database.touch(mode=0o600)
            # a file's name may hold what a URL takes for its own
            url = sa.URL.create("sqlite", database=str(database))
        else:
            try:
                url = sa.make_url(database)
            except ValueError as error:  # a port that is no number
                raise sa.exc.ArgumentError(str(error)) from error
        if not self._is_sqlite:
            options = f'-csearch_path="{schema}"'
            return sa.create_engine(url, connect_args={"options": options})
        engine = sa.create_engine(url)
        sa.event.listen(engine, "connect", _set_up_sqlite)
        sa.event.listen(engine, "begin", _begin_sqlite)
        return engine

    def _make_tables(self, connection: sa.Connection, schema: str) -> None:
        """Make what is missing; refuse the tables of another evalkit."""
        if not self._is_sqlite:
            # two that create at once must not collide
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(70)")
            connection.exec_driver_sql(f'CREATE SCHEMA IF NOT EXISTS "{schema}"')
        version = self._version(connection)
        if version > VERSION:
            raise RatingsError(
                f"{self._name}: expected tables of version {VERSION} at most, found "
                f"{version}: a later evalkit made them; use that one"
            )
        inspector = sa.inspect(connection)
        views = set(inspector.get_view_names())
        for table in METADATA.sorted_tables:
            if inspector.has_table(table.name):
                columns = {c["name"] for c in inspector.get_columns(table.name)}
                added = [c for c in table.c if c.name not in columns]
                if not all(column.nullable for column in added):
                    lacking = sorted(column.name for column in added)
                    raise RatingsError(
                        f"{self._name}: expected a table {table.name} with "
                        f"{', '.join(lacking)}: another program or an older evalkit "
                        "made it; export its answers there, and import them here"
                    )
                for column in added:  # null in every row of an older evalkit
                    kind = column.type.compile(connection.dialect)
                    change = f"ALTER TABLE {table.name} ADD COLUMN {column.name} {kind}"
                    connection.exec_driver_sql(change)
                if added:  # the views may read them
                    for name in views:
                        connection.exec_driver_sql(f"DROP VIEW {name}")
                    views = set()
        METADATA.create_all(connection)
        for name, query in VIEWS.items():
            if name not in views:
                connection.exec_driver_sql(f"CREATE VIEW {name} AS {query}")
        if version < VERSION:
            write = "PRAGMA user_version =" if self._is_sqlite else COMMENT
            value = f"{VERSION}" if self._is_sqlite else f"'{VERSION}'"
            connection.exec_driver_sql(f"{write} {value}")

    def _version(self, connection: sa.Connection) -> int:
        """The version that the store has; 0 where it has none."""
        query = "PRAGMA user_version" if self._is_sqlite else COMMENTED
        return int(connection.exec_driver_sql(query).scalar() or 0)

    @contextmanager
    def _errors_as_ours(self) -> Iterator[None]:
        """Raise a `RatingsError` for what SQLAlchemy or the system raises."""
        try:
            yield
        except sa.exc.IntegrityError:
            raise  # it concerns the rows, not the store
        except (sa.exc.SQLAlchemyError, ImportError, OSError) as error:
            reason = str(getattr(error, "orig", None) or error).splitlines()[0]
            advice = [text for word, text in WHAT_TO_DO.items() if word in reason]
            if isinstance(error, sa.exc.ArgumentError | ImportError):
                advice = ["expected a file, or an SQLAlchemy URL of PostgreSQL"]
            message = "; ".join([reason, *advice[:1]])
            raise RatingsError(f"ratings {self._name}: {message}") from error

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """A transaction that may write; committed to the disk when the block ends."""
        with self._lock, self._errors_as_ours(), self.engine.connect() as connection:
            connection = connection.execution_options(writes=True)
            with connection.begin():
                yield connection

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """A transaction that sees one state."""
        with self._errors_as_ours(), self.engine.connect() as connection:
            yield connection


def _set_up_sqlite(connection: Any, _: Any) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves
    for pragma in (
        f"busy_timeout={int(1000 * WAIT_S)}",
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
