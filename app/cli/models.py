"""Commands about models: list, show, card, download, push, promote, rollback, predict."""

import json
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn
from rich.table import Table

from agents.base.errors import InvalidRequest
from agents.base.source_uri import Repository, repository_of
from agents.formats import FORMATS
from agents.metrics.catalogue import headline
from app.cli.common import AsJson, cell, client, console, print_json, print_line, print_table
from app.downloads import archive_label

app = typer.Typer(
    help="Models: list, show, card, download, push, promote, rollback, delete.", invoke_without_command=True
)
#: Metrics that a version is known by, before all other headline metrics.
KNOWN_BY = ("f1", "exact_match")
Name = Annotated[str, typer.Argument(help="The model's name.")]
Reason = Annotated[str, typer.Option(help="The reason, kept in the model's history.")]
Version = Annotated[str, typer.Option(help="A version's number, or champion or previous.")]


@app.callback()
def list_models(context: typer.Context, as_json: AsJson = False) -> None:
    """List all models."""
    if context.invoked_subcommand is not None:
        return
    with client() as api:
        found = api.models()
    if as_json:
        print_json(found)
        return
    table = Table("model", "champion", "previous", "versions", "score", box=None, header_style="dim")
    for model in found:
        champion = model["aliases"].get("champion")
        version = next((one for one in model["versions"] if one["version"] == champion), None)
        cells = (
            model["name"],
            f"v{champion}" if champion else "-",
            f"v{model['aliases']['previous']}" if "previous" in model["aliases"] else "-",
            str(len(model["versions"])),
            _score(version) if version else "",
        )
        table.add_row(*map(cell, cells))
    print_table(table) if found else console.print("No models yet. Make one: tuneline run spam")


@app.command()
def show(name: Name, as_json: AsJson = False) -> None:
    """Show a model's versions."""
    with client() as api:
        model = api.model(name)
    if as_json:
        print_json(model)
        return
    table = Table("version", "verdict", "score", "formats", "aliases", box=None, header_style="dim")
    for version in model["versions"]:
        cells = (
            f"v{version['version']}",
            version["verdict"] or "-",
            _score(version),
            ", ".join(version["formats"]),
            ", ".join(version["aliases"]),
        )
        table.add_row(*map(cell, cells))
    print_table(table)
    for version in model["versions"]:
        if fault := version.get("fault"):
            print_line(f"v{version['version']}: {fault['message']}", "red")


@app.command()
def card(name: Name, version: Version = "champion") -> None:
    """Print a version's model card."""
    with client() as api:
        console.print(api.card(name, version), highlight=False, soft_wrap=True)


@app.command()
def download(
    name: Name,
    version: Version = "champion",
    format_: Annotated[
        str,
        typer.Option("--format", help=f"One of {', '.join(FORMATS)}."),
    ] = "merged",
    to: Annotated[Path | None, typer.Option(help="Folder for the files; default: NAME-VERSION-FORMAT.")] = None,
) -> None:
    """Download a version's files. Run the command again to continue a download that broke off."""
    folder = to or Path(archive_label(name, version, format_))
    columns = ("[progress.description]{task.description}", BarColumn(), DownloadColumn(), TimeRemainingColumn())
    shown = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
    with client() as api, shown as progress:
        task = progress.add_task(f"{name} {format_}", total=None)

        def advance(received: int, total: int) -> None:
            progress.update(task, completed=received, total=total)

        try:
            files = api.download(name, version, format_, folder, advance)
        except KeyboardInterrupt:
            typer.echo("\nRun the same command again to continue.", err=True)
            raise
    for file in files:
        print_line(str(file))


@app.command()
def push(
    name: Name,
    to: Annotated[str, typer.Argument(help="hf://org/name, or hf://org/name@branch.")],
    version: Version = "champion",
    format_: Annotated[str, typer.Option("--format", help="The format whose files are pushed.")] = "merged",
    public: Annotated[bool, typer.Option(help="Make a new repository public.")] = False,
) -> None:
    """Push a version's files and its card to the Hugging Face hub, as one commit; needs HF_TOKEN."""
    from agents.base.hub import publish

    place = _place_on_the_hub(to)
    with client() as api, tempfile.TemporaryDirectory() as folder, console.status(f"Pushing {name} to {to} ..."):
        api.download(name, version, format_, Path(folder))
        number = json.loads(Path(folder, "manifest.json").read_text(encoding="utf-8"))["version"]
        message = f"{name} v{number}, {format_}"
        url = publish(Path(folder), *place, message=message, public=public)
    print_line(url)


@app.command()
def promote(
    name: Name,
    version: Annotated[str, typer.Argument(help="The version to make champion.")],
    reason: Reason,
    force: Annotated[bool, typer.Option(help="Promote it against its verdict; needs TUNELINE_FORCE_KEY.")] = False,
) -> None:
    """Make a version the champion."""
    with client() as api:
        aliases = api.promote(name, version, reason, force=force)["aliases"]
    print_line(f"{name}: champion is v{aliases['champion']}.")


@app.command()
def rollback(name: Name, reason: Reason = "rollback") -> None:
    """Make the previous champion the champion again."""
    with client() as api:
        aliases = api.rollback(name, reason)["aliases"]
    print_line(f"{name}: champion is v{aliases['champion']}.")


@app.command()
def delete(
    name: Name,
    version: Annotated[int, typer.Argument(help="The version's number.")],
    reason: Reason,
) -> None:
    """Delete a version that no alias points at; `tuneline gc` then removes its files."""
    with client() as api:
        api.delete_version(name, version, reason)
    print_line(f"{name}: v{version} is deleted.")


def predict(
    model: Name,
    text: Annotated[list[str], typer.Argument(help="One or more texts.")],
    as_json: AsJson = False,
) -> None:
    """Ask the serving process."""
    with client() as api:
        answers = api.predict_many(model, text) if len(text) > 1 else [api.predict(model, text[0])]
    if as_json:
        print_json(answers)
        return
    for given, answer in zip(text, answers, strict=True):
        # A number has no confidence.
        sure = "" if "value" in answer else f"{answer['confidence']:.3f}  "
        unsure = "unsure  " if answer.get("unsure") else ""
        print_line(f"{answer['label'] or 'none':<8} {sure}{unsure}{given}", highlight=False)


def _place_on_the_hub(to: str) -> Repository:
    try:
        if not to.startswith("hf://"):
            raise ValueError("it has no scheme of the hub's")
        return repository_of(to.removeprefix("hf://"))
    except ValueError as fault:
        raise InvalidRequest(f"'{to}' is not a place on the hub.", cure="Write hf://org/name.") from fault


def _score(version: dict[str, Any]) -> str:
    """Return the metric that a version is known by, or that its manifest is damaged."""
    if version.get("fault"):
        return "damaged"
    metrics: dict[str, float] = version["metrics"]
    named = {name: metrics[name] for name in KNOWN_BY if name in metrics} | headline(metrics)
    return next((f"{name} {value:.4f}" for name, value in named.items()), "")
