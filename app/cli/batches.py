"""Commands about asynchronous batches: list, send, fetch."""

import json
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from agents.base.errors import Conflict
from app.cli.common import (
    AsJson,
    ago,
    cell,
    client,
    console,
    existing_file,
    file_name,
    print_json,
    print_line,
    print_table,
    say,
)
from app.cli.live import JobDisplay, show
from app.cli.texts import read_texts
from app.client import Client

app = typer.Typer(help="Batches of texts, answered from a queue: list, send, fetch.", invoke_without_command=True)
#: A batch is a job of this name with one node of the same name.
PREDICTION = "prediction"
BatchId = Annotated[str, typer.Argument(help="The batch's id.")]
To = Annotated[Path | None, typer.Option(help="File for the answers, JSON lines; default: ID.jsonl.")]
Lines = Annotated[bool, typer.Option("--json", help="Print the answers instead, JSON lines, for scripts.")]


@app.callback()
def list_batches(
    context: typer.Context,
    limit: Annotated[int, typer.Option(help="How many to list, the newest first.")] = 20,
    as_json: AsJson = False,
) -> None:
    """List the newest batches."""
    if context.invoked_subcommand is not None:
        return
    with client() as api:
        found = api.jobs(limit, name=PREDICTION)
    if as_json:
        print_json(found)
        return
    table = Table("batch", "status", "age", box=None, header_style="dim")
    for batch in found:
        table.add_row(*map(cell, (batch["id"], batch["status"], ago(time.time() - batch["created_at"]))))
    print_table(table) if found else console.print("No batches yet. Send one: tuneline batches send MODEL FILE")


@app.command()
def send(
    model: Annotated[str, typer.Argument(help="The model's name.")],
    file: Annotated[
        Path, typer.Argument(help="One text per line, or JSON lines, CSV, TSV or Parquet with a column of texts.")
    ],
    column: Annotated[str | None, typer.Option(help="The column of the texts.")] = None,
    to: To = None,
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Do not wait; print the batch's id.")] = False,
    as_json: Lines = False,
) -> None:
    """Send a file of texts to a model's champion and fetch the answers. Ctrl-C stops waiting; the batch goes on."""
    texts = read_texts(existing_file(file), column)
    with client() as api:
        batch = api.predict_later(model, texts)
        if detach:
            print_json(batch) if as_json else print_line(batch["id"])
            return
        if not as_json:
            version = f"{batch['model']} v{batch['version']}, {batch['format']}"
            print_line(f"Batch {batch['id']}: {len(texts):,} texts for {version}")
        answers = _answers(api, batch["id"], quiet=as_json)
    _hand_over(
        [{"text": text, **answer} for text, answer in zip(texts, answers, strict=True)], batch["id"], to, as_json
    )


@app.command()
def fetch(batch_id: BatchId, to: To = None, as_json: Lines = False) -> None:
    """Fetch a batch's answers, in the order of its texts, once it is done."""
    with client() as api:
        api.batch(batch_id, limit=1)
        answers = _answers(api, batch_id, quiet=as_json)
    _hand_over(answers, batch_id, to, as_json)


def _answers(api: Client, batch_id: str, *, quiet: bool) -> list[dict[str, Any]]:
    """Wait for a batch, showing how far it is, and return its answers.

    Raises:
        Conflict: it failed or was cancelled, and why.
    """
    try:
        # The API says so at once where it is away; following would wait for it to come back.
        api.job(batch_id)
        if quiet:
            for _ in api.follow(batch_id, on_notice=say):
                pass
        else:
            show(console, JobDisplay([PREDICTION]), api.follow(batch_id, on_notice=say))
    except KeyboardInterrupt:
        typer.echo(f"\nThe batch goes on. Fetch it: tuneline batches fetch {batch_id}", err=True)
        raise
    batch = api.batch(batch_id)
    if batch["predictions"] is None:
        why = (batch["error"] or {}).get("message", "It has no answers.")
        raise Conflict(f"The batch {batch_id} is {batch['status']}. {why}", cure=f"See: tuneline logs {batch_id}")
    found: list[dict[str, Any]] = batch["predictions"]
    return found


def _hand_over(answers: list[dict[str, Any]], batch_id: str, to: Path | None, as_json: bool) -> None:
    if as_json and to is None:
        for answer in answers:
            print_json(answer)
        return
    path = to or Path(file_name(f"{batch_id}.jsonl"))
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    part.write_text("".join(f"{json.dumps(answer, ensure_ascii=False)}\n" for answer in answers), encoding="utf-8")
    part.replace(path)
    print_json({"id": batch_id, "answers": str(path)}) if as_json else print_line(str(path))
