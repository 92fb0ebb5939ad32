"""Commands about the registry's index."""

import typer

from app.cli.common import print_line
from app.settings import Settings
from app.wiring import build_parts

app = typer.Typer(help="The registry: rebuild its index.", no_args_is_help=True)


@app.callback()
def registry() -> None:
    """The registry's index in Redis; versions themselves lie in the object store."""


@app.command()
def rebuild() -> None:
    """Rebuild the index in Redis from the manifests in the object store."""
    parts = build_parts(Settings())
    parts.check()
    found = parts.registry.rebuild()
    for name, count in found.items():
        print_line(f"{name}: {count} version{'s' * (count != 1)}")
    print_line(f"The index has {len(found)} model{'s' * (len(found) != 1)}.")
