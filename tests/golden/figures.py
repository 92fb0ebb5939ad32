"""What of an output can be held against another run, on another CPU, at another time; and how it is held against it."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from agents.base.object_store import ObjectStore
from agents.base.records import Artifact

Figures = dict[str, Any]
TOLERANCE = 1e-5
#: Measured times and memory, digests of weights and differences of rounding are not the same everywhere; sentences for
#: people may change.
LEFT_OUT = {
    *("tokens_per_s", "train_s", "memory_mib", "created_at", "environment"),
    *("reasons", "report", "report_markdown", "card"),
    *("base_model_fingerprint", "largest_difference", "grad_norm"),
}
#: JSON artifacts that are figures themselves.
READ = {"curve", "predictions"}
#: Files that are made without floating-point arithmetic.
EXACT = (".json", ".jinja", ".txt")


def figures(value: Any, objects: ObjectStore, name: str = "") -> Any:
    """Return a JSON value with digests, contents or names instead of artifacts, and floats of nine digits."""
    match value:
        case {"sha256": _, "size_bytes": _, "media_type": _}:
            return _of_artifact(Artifact.model_validate(value), objects, name)
        case {"path": str(path), "artifact": artifact}:
            return {"path": path, "artifact": figures(artifact, objects, path)}
        case dict():
            kept = {key: found for key, found in value.items() if key not in LEFT_OUT}
            return {key: figures(found, objects, key) for key, found in kept.items()}
        case list() | tuple():
            return [figures(found, objects, name) for found in value]
        case float():
            return float(f"{value:.9g}")
    return value


def _of_artifact(artifact: Artifact, objects: ObjectStore, name: str) -> Any:
    if name in READ:
        return figures(objects.get_json(artifact), objects)
    return artifact.sha256 if name == "rows" or name.endswith(EXACT) else "there"


def differences(expected: Any, found: Any, place: str = "") -> Iterator[str]:
    """Yield every place where two figures are not the same; floats may differ by `TOLERANCE`, relative or absolute."""
    if isinstance(expected, Mapping) and isinstance(found, Mapping):
        for key in sorted(expected.keys() | found.keys()):
            if key not in expected or key not in found:
                yield f"{place}/{key}: {'is new' if key in found else 'is gone'}"
            else:
                yield from differences(expected[key], found[key], f"{place}/{key}")
    elif isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        for number, pair in enumerate(zip(expected, found, strict=True)):
            yield from differences(*pair, f"{place}/{number}")
    elif not _same(expected, found):
        yield f"{place}: was {expected!r}, is {found!r}"


def _same(expected: Any, found: Any) -> bool:
    if isinstance(expected, float) and isinstance(found, float):
        return math.isclose(expected, found, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    return type(expected) is type(found) and bool(expected == found)
