"""The history of predictions, kept through SQLAlchemy, written off the request's path."""

import hashlib
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import structlog
from sqlalchemy import BigInteger, DateTime, Engine, Float, Integer, String, Text, create_engine, func, insert, select
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError, ProgrammingError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as NoConnection
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from agents.base.errors import Unavailable, first_line

log = structlog.get_logger()
WAITING_MOST = 10_000
ROWS_AT_ONCE = 500
#: Each writing costs a commit, and the interpreter, which requests wait for too.
WRITE_EVERY_S = 0.1
#: Of several processes that start on an empty database, all but one may lose a race for each table and index.
MAKE_TRIES, MAKE_AGAIN_S = 5, 0.2
KeptTexts = Literal["whole", "hash"]


class Base(DeclarativeBase):
    """All tables."""


class PredictionRow(Base):
    """One prediction that was answered."""

    __tablename__ = "predictions"

    # SQLite counts up only a column that is exactly INTEGER.
    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    text: Mapped[str] = mapped_column(Text)
    label: Mapped[str] = mapped_column(Text)
    confidence: Mapped[float] = mapped_column(Float)
    model: Mapped[str] = mapped_column(String(200), index=True)
    version: Mapped[int] = mapped_column(Integer)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), index=True)


class History:
    """Takes predictions at once and writes them soon, from a thread of its own; what does not fit is dropped.

    `on_dropped` is called with how many were dropped, from whichever thread dropped them.

    Raises:
        Unavailable: the database can't be opened.
    """

    def __init__(
        self,
        url: str,
        on_dropped: Callable[[int], None],
        *,
        texts: KeptTexts = "whole",
        waiting_most: int = WAITING_MOST,
    ) -> None:
        self._engine = _open(url)
        self._texts = texts
        self._on_dropped = on_dropped
        self._waiting: deque[dict[str, Any]] = deque()
        self._waiting_most = waiting_most
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._write_all, name="history", daemon=True)
        self._thread.start()

    def add(self, texts: Sequence[str], answers: Sequence[dict[str, Any]]) -> None:
        """Take answered predictions; never waits."""
        now = datetime.now(UTC)
        for text, answer in zip(texts, answers, strict=True):
            if len(self._waiting) >= self._waiting_most:
                self._on_dropped(1)
                continue
            row = {name: answer[name] for name in ("label", "confidence", "model", "version")}
            self._waiting.append({**row, "text": self._kept(text), "created_at": now})

    def add_answer(self, text: str, answer: str, model: str, version: int) -> None:
        """Take a decoder's answer, in place of a label; it has no confidence, which is kept as 0."""
        self.add([text], [{"label": self._kept(answer), "confidence": 0.0, "model": model, "version": version}])

    def _kept(self, text: str) -> str:
        if self._texts == "hash":
            return f"sha256:{hashlib.sha256(text.encode(errors='surrogatepass')).hexdigest()}"
        # PostgreSQL keeps no NUL in a text.
        return text.replace("\0", "\ufffd")

    def page(
        self, offset: int, limit: int, model: str | None = None, label: str | None = None
    ) -> tuple[list[dict[str, Any]], int]:
        """Return predictions, newest first, and how many there are in all.

        Raises:
            Unavailable: the database doesn't answer.
        """
        wanted = select(PredictionRow)
        if model is not None:
            wanted = wanted.where(PredictionRow.model == model)
        if label is not None:
            wanted = wanted.where(PredictionRow.label == label)
        try:
            with self._engine.connect() as connection:
                total = connection.execute(select(func.count()).select_from(wanted.subquery())).scalar_one()
                rows = connection.execute(wanted.order_by(PredictionRow.id.desc()).offset(offset).limit(limit))
                return [_with_zone(dict(row)) for row in rows.mappings()], total
        except SQLAlchemyError as fault:
            raise _unavailable(fault) from fault

    def close(self) -> None:
        """Write what waits, then end."""
        self._closing.set()
        self._thread.join()
        self._engine.dispose()

    def _write_all(self) -> None:
        while not self._closing.wait(WRITE_EVERY_S):
            self._write_waiting()
        self._write_waiting()

    def _write_waiting(self) -> None:
        while self._waiting:
            self._write([self._waiting.popleft() for _ in range(min(ROWS_AT_ONCE, len(self._waiting)))])

    def _write(self, rows: list[dict[str, Any]]) -> None:
        """Write rows; of those that the database refuses only they are dropped, however many come with them."""
        try:
            with self._engine.begin() as connection:
                connection.execute(insert(PredictionRow), rows)
        except Exception as fault:
            if len(rows) > 1 and not _is_away(fault):
                half = len(rows) // 2
                self._write(rows[:half])
                self._write(rows[half:])
                return
            # Predictions go on being answered while the database is away; the metrics count what is missing.
            self._on_dropped(len(rows))
            log.error("history_not_written", rows=len(rows), message=first_line(fault))


def history_url(url: str | None, state_dir: Path) -> str:
    """Return the URL to keep the history at: SQLite in the state folder unless one is set."""
    if url is not None:
        return url
    state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    return f"sqlite:///{state_dir.resolve() / 'history.db'}"


def _open(url: str) -> Engine:
    try:
        engine = create_engine(url, pool_pre_ping=True)
        _make_tables(engine)
    except (SQLAlchemyError, ImportError) as fault:
        raise _unavailable(fault) from fault
    return engine


def _make_tables(engine: Engine) -> None:
    """Make the tables that are missing, also where other processes make them at the same moment.

    Raises:
        SQLAlchemyError: the database doesn't answer, or allows no tables.
    """
    for tries_left in reversed(range(MAKE_TRIES)):
        try:
            Base.metadata.create_all(engine)
            return
        except (IntegrityError, ProgrammingError, OperationalError):
            # Another made one between this one's look and its own: the next look finds it.
            if not tries_left:
                raise
            time.sleep(MAKE_AGAIN_S)


def _is_away(fault: Exception) -> bool:
    """Say whether the database doesn't answer, or has no room, which is no fault of the rows."""
    return isinstance(fault, OperationalError | NoConnection) or (
        isinstance(fault, DBAPIError) and fault.connection_invalidated
    )


def _with_zone(row: dict[str, Any]) -> dict[str, Any]:
    """SQLite forgets the time zone; what was written was UTC."""
    created_at: datetime = row["created_at"]
    return row if created_at.tzinfo else {**row, "created_at": created_at.replace(tzinfo=UTC)}


def _unavailable(fault: Exception) -> Unavailable:
    return Unavailable(
        f"The history's database doesn't answer: {first_line(fault)}", cure="Start it, or check TUNELINE_HISTORY_URL."
    )
