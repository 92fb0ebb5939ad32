"""The history of predictions, kept through SQLAlchemy, written off the request's path."""

import queue
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy import DateTime, Float, Integer, String, Text, create_engine, func, insert, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

log = structlog.get_logger()
WAITING_MOST = 10_000
ROWS_AT_ONCE = 500


class Base(DeclarativeBase):
    """All tables."""


class PredictionRow(Base):
    """One prediction that was answered."""

    __tablename__ = "predictions"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    text: Mapped[str] = mapped_column(Text)
    label: Mapped[str] = mapped_column(String(200))
    confidence: Mapped[float] = mapped_column(Float)
    model: Mapped[str] = mapped_column(String(63), index=True)
    version: Mapped[int] = mapped_column(Integer)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), index=True)


class History:
    """Takes predictions at once and writes them soon, from a thread of its own; what does not fit is dropped."""

    def __init__(self, url: str) -> None:
        self._engine = create_engine(url)
        Base.metadata.create_all(self._engine)
        self._waiting: queue.Queue[dict[str, Any] | None] = queue.Queue(WAITING_MOST)
        self.dropped = 0
        self._thread = threading.Thread(target=self._write_all, name="history", daemon=True)
        self._thread.start()

    def add(self, texts: Sequence[str], answers: Sequence[dict[str, Any]]) -> None:
        """Take answered predictions; never waits."""
        now = datetime.now(UTC)
        for text, answer in zip(texts, answers, strict=True):
            row = {name: answer[name] for name in ("label", "confidence", "model", "version")}
            try:
                self._waiting.put_nowait({**row, "text": text, "created_at": now})
            except queue.Full:
                self.dropped += 1

    def page(
        self, offset: int, limit: int, model: str | None = None, label: str | None = None
    ) -> tuple[list[dict[str, Any]], int]:
        """Return predictions, newest first, and how many there are in all."""
        wanted = select(PredictionRow)
        if model is not None:
            wanted = wanted.where(PredictionRow.model == model)
        if label is not None:
            wanted = wanted.where(PredictionRow.label == label)
        with self._engine.connect() as connection:
            total = connection.execute(select(func.count()).select_from(wanted.subquery())).scalar_one()
            rows = connection.execute(wanted.order_by(PredictionRow.id.desc()).offset(offset).limit(limit))
            return [dict(row) for row in rows.mappings()], total

    def close(self) -> None:
        """Write what waits, then end."""
        self._waiting.put(None)
        self._thread.join()
        self._engine.dispose()

    def _write_all(self) -> None:
        open_ = True
        while open_:
            rows = [self._waiting.get()]
            while len(rows) < ROWS_AT_ONCE and not self._waiting.empty():
                rows.append(self._waiting.get())
            open_ = None not in rows
            self._write([row for row in rows if row is not None])

    def _write(self, rows: list[dict[str, Any]]) -> None:
        if not rows:
            return
        try:
            with self._engine.begin() as connection:
                connection.execute(insert(PredictionRow), rows)
        except SQLAlchemyError as fault:
            self.dropped += len(rows)
            log.error("history_not_written", rows=len(rows), message=str(fault).partition("\n")[0])


def history_url(url: str | None, state_dir: Path) -> str:
    """Return the URL to keep the history at: SQLite in the state folder unless one is set."""
    if url is not None:
        return url
    state_dir.mkdir(parents=True, exist_ok=True)
    return f"sqlite:///{state_dir.resolve() / 'history.db'}"
