"""A running job: a line for each node with its progress, loss and ETA, from the log's records."""

from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from agents.base.printable import one_line
from agents.base.strict_json import finite_number

STYLES = {
    "running": "bold cyan",
    "completed": "green",
    "cached": "green",
    "failed": "bold red",
    "cancelled": "yellow",
    "skipped": "yellow",
    "paused": "yellow",
    "retrying": "yellow",
}
#: Log event -> what it makes of its node.
EVENT_STATUS = {
    "node_started": "running",
    "node_completed": "completed",
    "node_cached": "cached",
    "node_failed": "failed",
    "node_skipped": "skipped",
    "node_cancelled": "cancelled",
    "node_paused": "paused",
    "node_retrying": "retrying",
    "worker_lost": "retrying",
    "node_handed_back": "waiting",
}
BRIEF_CHARACTERS = 160
JOB_EVENTS = {"job_completed": "completed", "job_failed": "failed", "job_cancelled": "cancelled"}


class JobDisplay:
    """Keeps the state of each node from the records, and draws it."""

    def __init__(self, nodes: Iterable[str]) -> None:
        self.rows: dict[str, dict[str, Any]] = {name: {"status": "waiting"} for name in nodes}
        self.status = "queued"
        self.notes: list[str] = []

    def take(self, record: dict[str, Any]) -> str | None:
        """Take a record; return a line for output that is not a terminal, or None."""
        event, node, fields = record["event"], record["node"], record["fields"]
        self.status = JOB_EVENTS.get(event, self.status)
        if node not in self.rows:
            return f"{event} {_brief(fields)}".strip()
        row = self.rows[node]
        if event == "progress":
            row["progress"] = fields
            return None
        if event in EVENT_STATUS:
            row["status"] = EVENT_STATUS[event]
            row["note"] = _note(event, fields)
            return f"{node}: {row['status']} {row['note']}".strip()
        if record["level"] in {"warning", "error"}:
            row["note"] = f"{event} {_brief(fields)}"
        return f"{node}: {event} {_brief(fields)}".strip()

    def __rich__(self) -> Table:
        table = Table.grid(padding=(0, 2))
        for name, row in self.rows.items():
            status = row["status"]
            progress = row.get("progress", {})
            table.add_row(
                Text(one_line(name), style="bold"),
                Text(status, style=STYLES.get(status, "dim")),
                _bar(status, progress),
                Text(one_line(_figures(progress) if status == "running" else row.get("note", ""))),
            )
        return table


def show(console: Console, display: JobDisplay, records: Iterable[dict[str, Any]]) -> None:
    """Draw a job until its records end: in place on a terminal, else a line for each event."""
    if console.is_terminal:
        with Live(display, console=console, refresh_per_second=8):
            for record in records:
                display.take(record)
        return
    said: dict[str, int] = {}
    for record in records:
        line = display.take(record)
        if line is None:
            line = _milestone(record, said)
        if line:
            console.print(one_line(line), markup=False, highlight=False, soft_wrap=True)


def _milestone(record: dict[str, Any], said: dict[str, int]) -> str | None:
    """Return a line of progress for every tenth of a node's work."""
    fields, node = record["fields"], record["node"]
    done, total = _far(fields)
    tenth = int(10 * min(1.0, done / total)) if total else 10
    if said.get(node) == tenth:
        return None
    said[node] = tenth
    return f"{node}: {10 * tenth:3d}% {_figures(fields)}"


def _bar(status: str, progress: dict[str, Any]) -> ProgressBar | Text:
    if status in {"completed", "cached"}:
        return ProgressBar(total=1, completed=1, width=24)
    if not progress:
        return Text(" " * 24)
    done, total = _far(progress)
    return ProgressBar(total=total or 1, completed=done, width=24)


def _figures(progress: dict[str, Any]) -> str:
    if not progress:
        return ""
    done, total = _far(progress)
    parts = [f"{done:g}/{total:g}"]
    formats = (("loss", "loss {:.4f}"), ("learning_rate", "lr {:.1e}"), ("tokens_per_s", "{:,.0f} tokens/s"))
    parts += [text.format(progress[name]) for name, text in formats if finite_number(progress.get(name)) is not None]
    if (eta_s := finite_number(progress.get("eta_s"))) is not None:
        parts.append(f"ETA {eta_s:.0f} s")
    return "  ".join(parts)


def _far(progress: dict[str, Any]) -> tuple[float, float]:
    """Return done and total of a record of progress; 0 for what is not a number."""
    return finite_number(progress.get("done")) or 0, finite_number(progress.get("total")) or 0


def _note(event: str, fields: dict[str, Any]) -> str:
    if "error" in fields and isinstance(fields["error"], dict):
        wait = f" (again in {fields['wait_s']} s)" if "wait_s" in fields else ""
        return f"{fields['error'].get('message')}{wait}"
    cache = fields.get("cache")
    if event == "node_cached":
        return str(cache.get("reason", "")) if isinstance(cache, dict) else ""
    if (seconds := finite_number(fields.get("seconds"))) is not None:
        return f"{seconds:.1f} s"
    return str(fields.get("reason", ""))


def _brief(fields: dict[str, Any]) -> str:
    shown = ((key, value) for key, value in fields.items() if not isinstance(value, dict | list))
    text = " ".join(f"{key}={value:.4g}" if isinstance(value, float) else f"{key}={value}" for key, value in shown)
    return text if len(text) <= BRIEF_CHARACTERS else text[: BRIEF_CHARACTERS - 3] + "..."
