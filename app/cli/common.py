"""What the commands share: the client, the consoles, JSON for scripts."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from agents.base.errors import InvalidRequest
from agents.base.names import checked_file_name
from agents.base.printable import one_line, printable
from app.client import Client
from app.keys import check_addresses
from app.settings import Settings


class SafeConsole(Console):
    """The one way to the terminal: what comes from outside stays text, without markup or control characters."""

    def __init__(self, **fields: Any) -> None:
        super().__init__(markup=False, emoji=False, **fields)

    def render_str(self, text: str, **fields: Any) -> Text:
        # Before it is measured, so that tables fit.
        return super().render_str(printable(text), **fields)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(printable(segment.text), segment.style)


console = SafeConsole()
#: For what is said beside the results.
errors = SafeConsole(stderr=True)
WIDEST = 1000
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]


def client() -> Client:
    """Return a client for the API and serving that the settings name.

    Raises:
        NotAllowed: the `.env` of this folder names their address, and a key stands elsewhere.
    """
    settings = Settings()
    check_addresses(settings)
    key = settings.api_key.get_secret_value() if settings.api_key else None
    force_key = settings.force_key.get_secret_value() if settings.force_key else None
    return Client(settings.api_url, settings.serving_url, key, force_key, state_dir=settings.state_dir)


def existing_file(path: Path) -> Path:
    """Return the path of a file that a user named.

    Raises:
        InvalidRequest: there is no such file.
    """
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "is not there"
        raise InvalidRequest(f"The file '{path}' {what}.", cure=f"It was looked for in {Path.cwd()}.")
    return path


def file_name(wanted: str) -> str:
    """Return the name of a file in this folder, for what has a name of its own that may come from a server.

    Raises:
        InvalidRequest: it would be a file elsewhere, or is none.
    """
    try:
        return checked_file_name(wanted)
    except ValueError as fault:
        raise InvalidRequest(str(fault), cure="Or say which file to write: --to FILE.") from fault


def print_json(value: Any) -> None:
    """Print one JSON document, without colours or line breaks of the terminal's."""
    print(json.dumps(value), flush=True)


def cell(text: str, style: str = "") -> Text:
    """Return a name from outside for a cell of a table or a part of a line."""
    return Text(one_line(text), style=style)


def print_line(text: str, style: str = "", *, highlight: bool = True) -> None:
    """Print one line, as long as it is: names in it make no lines of their own."""
    console.print(one_line(text), style=style, highlight=highlight, soft_wrap=True)


def say(notice: str) -> None:
    """Print what a user should know beside the results, such as a connection that is made again."""
    errors.print(one_line(notice), style="yellow", highlight=False, soft_wrap=True)


def print_table(table: Table) -> None:
    """Print a table as wide as its cells are, also beyond a narrow terminal: an id that is cut can't be given back."""
    table.width = console.measure(table, options=console.options.update(max_width=WIDEST)).maximum
    if console.is_terminal:
        console.print(table, soft_wrap=True)
        return
    with console.capture() as captured:
        console.print(table, soft_wrap=True)
    print("\n".join(line.rstrip() for line in captured.get().splitlines()))


def ago(seconds: float) -> str:
    """Return a time span in its largest unit."""
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds:.0f}s"
