"""Python's `re` runs patterns that stand in the source, and no others: those from outside are RE2's."""

import ast
from collections.abc import Iterator
from pathlib import Path

import agents

ROOT = Path(agents.__file__).parents[1]
FUNCTIONS = {"compile", "findall", "finditer", "fullmatch", "match", "search", "split", "sub", "subn"}
#: Where texts are escaped that are looked for as they are.
ESCAPES = "agents/base/patterns.py"
#: Who may run a JSON schema: as it stands there, bounded.
SCHEMA_DOORS = {"agents/generate/answer_check.py"}


def sources() -> Iterator[tuple[str, ast.Module]]:
    for package in ("agents", "pipelines", "app"):
        for path in sorted((ROOT / package).rglob("*.py")):
            yield str(path.relative_to(ROOT)), ast.parse(path.read_text(encoding="utf-8"))


def patterns(tree: ast.Module) -> Iterator[ast.expr]:
    """Yield the first argument of every call of a function of `re`."""
    for node in ast.walk(tree):
        called = node.func if isinstance(node, ast.Call) else None
        if isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name) and called.value.id == "re":
            assert isinstance(node, ast.Call)
            if called.attr in FUNCTIONS:
                yield node.args[0]


def is_ours(pattern: ast.expr) -> bool:
    """Say whether a pattern is a text in the source, or put together of constants and of texts as they are."""
    if isinstance(pattern, ast.JoinedStr):
        return all(is_ours(part.value if isinstance(part, ast.FormattedValue) else part) for part in pattern.values)
    if isinstance(pattern, ast.Call) and ast.unparse(pattern.func) == "re.escape":
        return True
    return isinstance(pattern, ast.Constant) or (isinstance(pattern, ast.Name) and pattern.id.isupper())


def test_every_pattern_of_re_stands_in_the_source() -> None:
    found = [(name, pattern) for name, tree in sources() for pattern in patterns(tree)]
    made = [f"{name}:{pattern.lineno}" for name, pattern in found if name != ESCAPES and not is_ours(pattern)]

    assert len(found) > 20
    assert made == []


def test_one_file_follows_json_schemas() -> None:
    doors = {
        name
        for name, tree in sources()
        for node in ast.walk(tree)
        if isinstance(node, ast.Import) and any(alias.name.partition(".")[0] == "jsonschema" for alias in node.names)
    }

    assert doors == SCHEMA_DOORS
