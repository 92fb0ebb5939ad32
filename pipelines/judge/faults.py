"""The faults of one spec: each is reported once, with the path of what is wrong."""

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from agents.base.budgets import SPEC
from agents.base.errors import InvalidSpec
from pipelines.params import whole_reference, written_at
from pipelines.wording import cut, shown, suggestion

#: A path or a message that is longer has a text of the spec in it, of which the beginning is enough.
PATH_CHARACTERS = 300
MESSAGE_CHARACTERS = 2_000


class Faults:
    """Collects `{"path", "message"}` records, no more than anybody reads."""

    def __init__(self) -> None:
        self.found: list[dict[str, str]] = []
        self._closed: set[str] = set()

    def report(self, path: str, message: str) -> None:
        """Note a fault, unless it is known or its path was closed.

        Raises:
            InvalidSpec: there are as many as are told at once.
        """
        path, message = cut(path, PATH_CHARACTERS), cut(message, MESSAGE_CHARACTERS)
        fault = {"path": path, "message": message}
        if path not in self._closed and fault not in self.found:
            self.found.append(fault)
        if len(self.found) >= SPEC.faults:
            self.raise_found()

    def report_validation(
        self, prefix: str, error: ValidationError, keys: Iterable[str], written: Mapping[str, Any] | None = None
    ) -> None:
        """Note what pydantic found below `prefix`; `keys` are those that there may be, `written` is the config as it
        stands in the spec: a value that is a parameter's is the parameter's fault."""
        for fault in error.errors(include_url=False, include_context=False):
            path = ".".join(str(part) for part in (prefix, *fault["loc"]) if part != "")
            message = fault["msg"].removeprefix("Value error, ")
            param = whole_reference(written_at(written, fault["loc"])) if fault["loc"] else None
            if fault["type"] == "extra_forbidden":
                message = f"unknown key; {suggestion(str(fault['loc'][-1]), keys)}"
            elif fault["type"] == "missing" and param is None:
                message = "missing; it has no default"
            elif fault["type"] == "missing":
                path, message = f"params.{param}", f"is null, and {path} has no default"
            else:
                message = f"{message[:1].lower()}{message[1:]}, got {shown(fault['input'])}"
                if fault["type"] == "string_type" and isinstance(fault["input"], bool | int | float):
                    message += f"; as text it is written in quotes: '\"{shown(fault['input'])}\"'"
                if param is not None:
                    path, message = f"params.{param}", f"{message} ({path})"
            self.report(path, message)

    def close(self) -> None:
        """Report nothing more at the paths that have a fault by now: what follows from it is not news."""
        self._closed.update(fault["path"] for fault in self.found)

    def raise_found(self) -> None:
        """Raise InvalidSpec with every fault, if there is one."""
        if self.found:
            count = "1 fault" if len(self.found) == 1 else f"{len(self.found)} faults"
            listed = "; ".join(f"{fault['path'] or 'spec'}: {fault['message']}" for fault in self.found)
            more = " The judge stops here; fix these first." if len(self.found) >= SPEC.faults else ""
            raise InvalidSpec(f"The spec has {count}: {listed}.{more}", details=self.found)
