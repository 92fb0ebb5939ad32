"""Commands about datasets: list, upload, preview."""

import re
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from agents.base.printable import one_line
from app.cli.common import AsJson, cell, client, console, existing_file, print_json, print_line, print_table
from app.cli.options import Encoding, Format, LabelColumn, Part, RowShape, TextColumn
from app.client import Client

app = typer.Typer(help="Datasets: list, upload, preview.", invoke_without_command=True)
DATASET_ID = re.compile("[0-9a-f]{16}")
Rows = Annotated[int, typer.Option(help="Rows to show.")]


@app.callback()
def list_datasets(context: typer.Context, as_json: AsJson = False) -> None:
    """List the uploaded datasets."""
    if context.invoked_subcommand is not None:
        return
    with client() as api:
        found = api.datasets()
    if as_json:
        print_json(found)
        return
    table = Table("id", "file", "bytes", box=None, header_style="dim")
    for dataset in found:
        table.add_row(dataset["id"], cell(dataset["filename"]), str(dataset["artifact"]["size_bytes"]))
    print_table(table) if found else console.print("No datasets yet. Upload one: tuneline datasets upload FILE")


@app.command()
def upload(file: Annotated[Path, typer.Argument(help="A file of rows.")], as_json: AsJson = False) -> None:
    """Upload a file of rows; a spec names it by the URI that is printed."""
    with client() as api:
        dataset = api.upload(existing_file(file))
    print_json(dataset) if as_json else print_line(dataset["uri"])


@app.command()
def preview(
    dataset: Annotated[
        str, typer.Argument(help="A file (it is uploaded), a folder, a URI, or an uploaded dataset's id.")
    ],
    rows: Rows = 5,
    model: Annotated[str | None, typer.Option(help="Also show the rows as tokens of this model.")] = None,
    task: Annotated[
        str | None, typer.Option(help="What the rows are for; by the shape of the rows if not given.")
    ] = None,
    template: Annotated[
        str | None, typer.Option(help="Template of conversations; the tokenizer's own by default.")
    ] = None,
    max_tokens: Annotated[
        int | None, typer.Option(help="The largest number of tokens of a row; default: the task's.")
    ] = None,
    shape: RowShape = None,
    text_column: TextColumn = None,
    label_column: LabelColumn = None,
    encoding: Encoding = None,
    part: Part = None,
    format_: Format = None,
    as_json: AsJson = False,
) -> None:
    """Show how rows are read and, with a model, which tokens they become; those that carry loss are marked."""
    options = {"rows": rows, "model": model, "task": task, "template": template, "max_tokens": max_tokens}
    options |= {"shape": shape, "text_column": text_column, "label_column": label_column}
    options |= {"encoding": encoding, "format": format_, "part": part}
    with client() as api:
        found = _previewed(api, dataset, options)
    print_json(found) if as_json else _print(found)


def _previewed(api: Client, dataset: str, options: dict[str, Any]) -> dict[str, Any]:
    """Return a preview of an upload, of a file, which is uploaded first, or of what the API finds by itself."""
    file, identifier = Path(dataset), dataset.removeprefix("dataset://")
    if file.is_dir():
        return api.preview_source(str(file.resolve()), **options)
    if not file.is_file() and DATASET_ID.fullmatch(identifier):
        return api.preview_dataset(identifier, **options)
    if not file.is_file() and "://" in dataset:
        return api.preview_source(dataset, **options)
    return api.preview_dataset(api.upload(existing_file(file))["id"], **options)


def _print(found: dict[str, Any]) -> None:
    for file in found["files"]:
        print_line("  ".join(f"{fact} {value!r}" for fact, value in file.items()))
    for part, why in found.get("left_out", {}).items():
        print_line(f"left out {part}: {why}", "yellow")
    used = {fact: value for fact, value in found["used"].items() if fact != "why"}
    for title, facts in (("used", used), ("dropped", found["dropped"]), ("labels", found["label_counts"])):
        line = "  ".join(f"{fact} {value}" for fact, value in facts.items() if value)
        print_line(f"{title:<8} {line or 'none'}")
    if why := found["used"].get("why"):
        print_line(f"since    {why}")
    for field, count in found["unused_fields"].items():
        print_line(f"unused   {field}: {count} rows or turns hold something that is not used", "yellow")
    for reason, count in found["unlearned"].items():
        print_line(f"no loss  {reason}: {count}", "yellow")
    if found["preference"]:
        print_line(found["preference"], "yellow")
    scanned = f"{found['rows_scanned']} rows read" + ("" if found["whole_file"] else ", there are more")
    print_line(f"columns  {', '.join(found['columns'])}  ({scanned})")
    rendered = found["rendered"] or {"rows": [], "problems": []}
    for row in found["rows"]:
        print_line(f"row {row['row']}: {row['text']!r} -> {row['label']!r}")
    for row in rendered["rows"]:
        console.print(_tokens(row), soft_wrap=True)
    for note in found["notes"]:
        print_line(note, "yellow")
    for problem in (*found["problems"], *rendered["problems"]):
        print_line(f"would stop the job: {problem}", "red")
    if found["rendered_note"]:
        print_line(found["rendered_note"], "dim")


def _tokens(row: dict[str, Any]) -> Text:
    """Return a row's tokens, one mark between them; underlined those that carry loss."""
    if "left_out" in row:
        return cell(f"row {row['row']} is left out: {row['left_out']}, {row['why']}", "yellow")
    cut = f", {row['cut_answers']} answers cut" if row.get("cut_answers") else ""
    line = Text(f"row {row['row']}, {row['token_count']} tokens{cut}: ", style="dim")
    learned = row.get("carries_loss") or [False] * len(row["tokens"])
    for token, carries_loss in zip(row["tokens"], learned, strict=True):
        line.append(
            one_line(token.replace("\n", "\u23ce")), style="bold green underline" if carries_loss else "default"
        )
        line.append("\u00b7", style="dim")
    return line.append(f" learned: {row['learned']!r}", style="green")
