"""Commands whose module is imported only when one of them runs: the help of all of them needs none."""

import importlib
from collections.abc import Mapping
from typing import Any, NamedTuple, cast

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command


class Place(NamedTuple):
    """Where a command or a group of them is, and what the help of all commands says of it."""

    path: str
    help: str


class LazyCommand(TyperCommand):
    """Stands for a command until it is called."""

    def __init__(self, name: str, place: Place) -> None:
        super().__init__(name, help=place.help)
        self._place = place

    def loaded(self) -> TyperCommand | TyperGroup:
        """Import the command's module and return the command."""
        module, _, attribute = self._place.path.partition(":")
        found = getattr(importlib.import_module(module), attribute)
        if not isinstance(found, typer.Typer):
            alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
            alone.command(self.name)(found)
            found = alone
        command = cast("TyperCommand | TyperGroup", get_command(found))
        command.name = self.name
        return command

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """Return the context of the real command, which then runs in it."""
        if parent is not None and callable(parent.obj):
            parent.obj()
        return self.loaded().make_context(info_name, args, parent=parent, **extra)


def lazy_group(places: Mapping[str, Place]) -> type[TyperGroup]:
    """Return the kind of a group that has these commands."""

    class LazyGroup(TyperGroup):
        def __init__(self, **fields: Any) -> None:
            super().__init__(**{**fields, "commands": {name: LazyCommand(name, places[name]) for name in places}})

        def list_commands(self, ctx: Any) -> list[str]:
            return list(self.commands)

    return LazyGroup
