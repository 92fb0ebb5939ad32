"""A spec's text, JSON or YAML, as plain data: the values that JSON can hold, and no key twice.

The API and the command line read by it, so that a spec means the same to both.
"""

import json
import math
import re
from collections.abc import Callable, Hashable, Mapping
from typing import Any

import yaml

from agents.base.errors import InvalidRequest, InvalidSpec
from agents.data.files.documents import object_once

Report = Callable[[str, str], None]
#: References of YAML let a few lines stand for very many values, or for one inside itself.
VALUES_MOST = 100_000
DEPTH_MOST = 50
TIMESTAMP = "tag:yaml.org,2002:timestamp"
#: `5e-5` is a number too, as in JSON and YAML 1.2; PyYAML asks for a point.
EXPONENT = re.compile(r"^[-+]?[0-9]+[eE][-+]?[0-9]+$")


def read_document(text: bytes | str, what: str) -> Any:
    """Return the plain data of a JSON or YAML text; `what` is its name in faults.

    Raises:
        InvalidRequest: it is neither, or has values that JSON can't hold.
    """
    value = parse_document(text, what)
    faults: list[str] = []
    try:
        plain_value(value, lambda path, why: faults.append(f"{what}{f', {path}' if path else ''}: {why}."))
    except InvalidSpec as fault:
        raise InvalidRequest(f"{what}: {fault.message}") from fault
    if faults:
        raise InvalidRequest(faults[0])
    return value


def parse_document(text: bytes | str, what: str) -> Any:
    """Return what a JSON or YAML text says, even where it is more than JSON can hold.

    Raises:
        InvalidRequest: it is neither.
    """
    try:
        return json.loads(text, object_pairs_hook=object_once)
    except (ValueError, RecursionError):
        # Read as YAML, a key that is there twice has a place.
        pass
    try:
        return read_yaml(text)
    except yaml.MarkedYAMLError as fault:
        mark = fault.problem_mark or fault.context_mark
        place = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise InvalidRequest(f"{what} is neither JSON nor YAML{place}: {fault.problem}.") from fault
    except RecursionError as fault:
        raise InvalidRequest(f"{what}: it is nested too deep.") from fault
    except (yaml.YAMLError, ValueError, LookupError, AttributeError) as fault:
        # The last two are what values of a tag fail with: `!!bool maybe`.
        raise InvalidRequest(f"{what} is neither JSON nor YAML: {' '.join(str(fault).split())}.") from fault


# -- YAML ---------------------------------------------------------------------------------------


class _Loader(yaml.SafeLoader):
    """Dates stay the text they are written as: nothing in a spec is a date."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        if isinstance(node, yaml.MappingNode):
            written: set[tuple[str, str]] = set()
            for key, _ in node.value:
                name = (key.tag, str(key.value))
                if name in written:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"the key '{key.value}' is there twice", key.start_mark
                    )
                written.add(name)
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in found if tag != TIMESTAMP]
    for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", EXPONENT, list("-+0123456789"))


def read_yaml(text: str | bytes) -> Any:
    """Return what a YAML text says.

    Raises:
        yaml.YAMLError: it is not YAML, or has a key twice. UnicodeDecodeError: it is not UTF-8.
    """
    return yaml.load(text, _Loader)


# -- plain values -------------------------------------------------------------------------------


def plain_value(value: Any, report: Report, path: str = "") -> Any:
    """Return a spec with text in place of all that JSON can't hold, after reporting each with its path.

    Raises:
        InvalidSpec: it is nested too deep, or has more values than a spec can have.
    """
    return _Plain(report).of(value, path, 0)


class _Plain:
    def __init__(self, report: Report) -> None:
        self.report = report
        self.values = 0

    def of(self, value: Any, path: str, depth: int) -> Any:
        self.values += 1
        if self.values > VALUES_MOST or depth > DEPTH_MOST:
            raise InvalidSpec(f"A spec has at most {VALUES_MOST:,} values, nested {DEPTH_MOST} deep.")
        if isinstance(value, Mapping):
            keys = {key: self.key(key, path) for key in value}
            return {
                name: self.of(value[key], f"{path}.{name}" if path else name, depth + 1) for key, name in keys.items()
            }
        if isinstance(value, list | tuple):
            return [self.of(item, f"{path}[{place}]", depth + 1) for place, item in enumerate(value)]
        return self.text(value, path) if isinstance(value, str) else self.scalar(value, path)

    def scalar(self, value: Any, path: str) -> Any:
        if isinstance(value, float) and not math.isfinite(value):
            self.report(path, f"{value} is not a number that can be stored")
            return None
        if value is None or isinstance(value, int | float):
            return value
        self.report(path, f"a {type(value).__name__} is not a value of a spec; write text, in quotes")
        return str(value)

    def text(self, value: str, path: str) -> str:
        try:
            value.encode()
        except UnicodeEncodeError:
            self.report(path, "half of a character (a lone surrogate) is not text")
            return value.encode(errors="replace").decode()
        return value

    def key(self, key: Any, path: str) -> str:
        if key is None or isinstance(key, bool):
            # YAML reads yes, no, on and off so; as JSON it would be the text "true" or "false".
            self.report(path, f"YAML reads one of the keys as {key}; write it in quotes")
        return self.text(str(key), path)
