"""Commands about the registry's index."""

import typer

from app.cli.common import console
from app.settings import Settings

app = typer.Typer(help="The registry: its index, made anew.", no_args_is_help=True)


@app.callback()
def registry() -> None:
    """The registry's index in Redis; versions themselves lie in the object store."""


@app.command()
def rebuild() -> None:
    """Make the index in Redis anew from the manifests in the object store."""
    from app.wiring import build_parts

    parts = build_parts(Settings())
    parts.check()
    found = parts.registry.rebuild()
    for name, count in found.items():
        console.print(f"{name}: {count} version{'s' * (count != 1)}")
    console.print(f"The index has {len(found)} model{'s' * (len(found) != 1)}.")
