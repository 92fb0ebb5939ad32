"""Substitution of `${params.x}`, and `matrix` fan-out: resolved values, each with its source."""

import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

ABSENT = object()
#: A name has no brace in it, so that a text of many `${` is gone through once.
REFERENCE = re.compile(r"\$\{([^{}]*)\}")


def references(value: Any) -> set[str]:
    """Return what `${...}` names anywhere in a value, such as `{"params.model"}`."""
    if isinstance(value, str):
        return set(REFERENCE.findall(value))
    if isinstance(value, Mapping):
        return set().union(*map(references, value.values()), set())
    if isinstance(value, list):
        return set().union(*map(references, value), set())
    return set()


def within_texts(value: Any) -> set[str]:
    """Return what `${...}` names within longer texts anywhere in a value."""
    if isinstance(value, str):
        return set() if REFERENCE.fullmatch(value) else references(value)
    if isinstance(value, Mapping):
        return set().union(*map(within_texts, value.values()), set())
    if isinstance(value, list):
        return set().union(*map(within_texts, value), set())
    return set()


def substitute(value: Any, params: Mapping[str, Any]) -> Any:
    """Replace `${params.x}`: alone it becomes the parameter's value, inside a text its text.

    A key of a mapping whose parameter is null is left out, so that what reads the mapping takes its own default.

    Raises:
        KeyError: the name of a parameter that doesn't exist.
    """
    if isinstance(value, str):
        whole = REFERENCE.fullmatch(value)
        if whole:
            return params[whole[1].removeprefix("params.")]
        return REFERENCE.sub(lambda found: str(params[found[1].removeprefix("params.")]), value)
    if isinstance(value, Mapping):
        found = {key: substitute(item, params) for key, item in value.items()}
        return {key: item for key, item in found.items() if item is not None or whole_reference(value[key]) is None}
    if isinstance(value, list):
        return [substitute(item, params) for item in value]
    return value


def whole_reference(value: Any) -> str | None:
    """Return the name of the parameter that a value is and nothing else: `epochs` of `${params.epochs}`."""
    found = REFERENCE.fullmatch(value) if isinstance(value, str) else None
    return found[1].removeprefix("params.") if found else None


def written_at(config: Any, place: Sequence[str | int]) -> Any:
    """Return what stands at a place of a written config, or at the nearest place above it that has a value.

    Below a list, parts of a place that are not numbers are kinds of value that were tried, not keys.
    """
    for part in place:
        if isinstance(config, list) and isinstance(part, str):
            continue
        below = config.get(part, ABSENT) if isinstance(config, Mapping) else ABSENT
        if isinstance(config, list) and isinstance(part, int) and part < len(config):
            below = config[part]
        if below is ABSENT:
            break
        config = below
    return config


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every value below a mapping with its dotted path: `("lora.r", 8)`."""
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from leaves(item, f"{path}.{key}" if path else str(key))
    else:
        yield path, value


def value_sources(written: Mapping[str, Any], resolved: Mapping[str, Any]) -> dict[str, str]:
    """Say for every leaf of the resolved config where its value came from."""
    named = {path: _source(value) for path, value in leaves(written)}
    return {path: named.get(path, "default") for path, _ in leaves(resolved)}


def _source(value: Any) -> str:
    found = sorted(references(value))
    return ", ".join(found) if found else "spec"


def combinations(matrix: Mapping[str, list[Any]]) -> list[dict[str, Any]]:
    """Return every combination of a matrix: `{"lora.r": [8, 16]}` gives two."""
    return [dict(zip(matrix, values, strict=True)) for values in itertools.product(*matrix.values())]


def variant_name(node: str, values: Mapping[str, Any], *, quoted: bool = False) -> str:
    """Name one variant of a fanned-out node: `training[lora.r=8,seed=1]`; `quoted`: with its values as JSON."""
    return f"{node}[{','.join(f'{key}={json.dumps(v) if quoted else v}' for key, v in values.items())}]"


def with_values(config: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a config with dotted keys set: `{"lora.r": 8}` sets `config["lora"]["r"]`."""
    result = dict(config)
    for path, value in values.items():
        head, _, rest = path.partition(".")
        below = result.get(head)
        result[head] = with_values(below if isinstance(below, Mapping) else {}, {rest: value}) if rest else value
    return result
