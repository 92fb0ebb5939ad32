"""Commands about the registry's index."""

import typer

from app.cli.common import print_line
from app.settings import Settings
from app.wiring import Parts, build_parts

app = typer.Typer(help="The registry: rebuild its index, or take a bucket over.", no_args_is_help=True)


@app.callback()
def registry() -> None:
    """The registry's index in Redis; versions themselves lie in the object store."""


@app.command()
def rebuild() -> None:
    """Rebuild the index in Redis from the manifests in the object store, such as after Redis lost its data."""
    _say(_connected().registry.rebuild())


@app.command()
def adopt() -> None:
    """Take the bucket over from an installation that is gone for good, and rebuild the index from it."""
    _say(_connected().registry.adopt())


def _connected() -> Parts:
    """Return parts whose servers answer; whether they belong together is for the command to judge."""
    parts = build_parts(Settings())
    parts.check_servers()
    return parts


def _say(found: dict[str, int]) -> None:
    for name, count in found.items():
        print_line(f"{name}: {count} version{'s' * (count != 1)}")
    print_line(f"The index has {len(found)} model{'s' * (len(found) != 1)}.")
