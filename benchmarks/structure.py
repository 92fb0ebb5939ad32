"""What the structure of the source is like, of this checkout or of another one.

    python -m benchmarks.structure [--verbose] [CHECKOUT]

Reads files and imports, and runs nothing of the checkout. Rooms are the top-level modules of `agents`, arrows the pairs
of them of which one imports the other, also for checks of types alone; records are modules `types`. A module is named
in a contract of import-linter where it, or a package around it, is; `app`, `pipelines` and `agents` as a whole don't
count as around it.
"""

import argparse
import ast
import sys
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grimp

from benchmarks._report import finish, print_table

PACKAGES = ("agents", "app", "pipelines")
FUNCTION_LINES_MOST = 50
FILE_LINES_MOST = 350
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True)
class SourceFile:
    """A file of the checkout. `path`: inside of it."""

    path: Path
    text: str

    @property
    def line_count(self) -> int:
        return len(self.text.splitlines())

    @property
    def module(self) -> str:
        return ".".join(self.path.with_suffix("").parts).removesuffix(".__init__")

    def functions(self) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
        return (node for node in ast.walk(ast.parse(self.text)) if isinstance(node, FUNCTIONS))

    def long_functions(self) -> Iterator[str]:
        """Yield the functions that are too long, with their lines, docstring included."""
        for node in self.functions():
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > FUNCTION_LINES_MOST:
                yield f"{self.path}: {node.name}, {lines} lines"

    def imports_in_functions(self) -> list[int]:
        """Return the lines of import statements that stand inside of functions."""
        inside = (node for function in self.functions() for node in ast.walk(function))
        return sorted({node.lineno for node in inside if isinstance(node, ast.Import | ast.ImportFrom)})


def source_files(checkout: Path) -> list[SourceFile]:
    paths = sorted(path for package in PACKAGES for path in (checkout / package).rglob("*.py"))
    return [SourceFile(path.relative_to(checkout), path.read_text(encoding="utf-8")) for path in paths]


@dataclass(frozen=True)
class Rooms:
    """The rooms of `agents`, and who of them imports whom. `below`: without imports of nothing but records."""

    names: list[str]
    arrows: list[tuple[str, str]]
    below: list[tuple[str, str]]


def rooms_of(checkout: Path) -> Rooms:
    # First, so that the checkout's packages are found and not those that are installed.
    sys.path.insert(0, str(checkout.resolve()))
    graph = grimp.build_graph(*PACKAGES, cache_dir=None)
    names = sorted(graph.find_children("agents"))
    imports = [(start, end) for start in graph.modules for end in graph.find_modules_directly_imported_by(start)]
    work = [(start, end) for start, end in imports if not end.endswith(".types")]
    return Rooms(names, between(names, imports), between(names, work))


def between(rooms: list[str], imports: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the pairs of rooms of which one imports the other, each once."""
    found = {(room_of(start), room_of(end)) for start, end in imports}
    return sorted((start, end) for start, end in found if start != end and {start, end} <= set(rooms))


def in_rings(arrows: list[tuple[str, str]]) -> list[str]:
    """Return the rooms from which a way of arrows leads back to themselves."""
    ends = {start: {end for other, end in arrows if other == start} for start, _ in arrows}

    def reached(room: str) -> set[str]:
        found: set[str] = set()
        waiting = [room]
        while waiting:
            fresh = ends.get(waiting.pop(), set()) - found
            found |= fresh
            waiting += fresh
        return found

    return [room for room in ends if room in reached(room)]


def room_of(module: str) -> str:
    return ".".join(module.split(".")[:2])


def unnamed_modules(checkout: Path, modules: Iterable[str]) -> list[str]:
    """Return the modules that no contract of imports names."""
    written = tomllib.loads((checkout / "pyproject.toml").read_text(encoding="utf-8"))
    named = {name for contract in written["tool"]["importlinter"]["contracts"] for name in names_in(contract)}
    named -= set(PACKAGES)
    return [name for name in modules if name not in PACKAGES and not {name, *packages_around(name)} & named]


def names_in(contract: dict[str, Any]) -> Iterator[str]:
    """Yield what a contract is about: its layers, containers and sources."""
    yield from contract.get("source_modules", [])
    containers = contract.get("containers", [])
    yield from containers
    for layer in contract.get("layers", []):
        for name in layer.replace("|", ":").split(":"):
            # Brackets stand around a layer that need not be there.
            plain = name.strip(" ()")
            yield from (f"{container}.{plain}" for container in containers) if containers else [plain]


def packages_around(module: str) -> Iterator[str]:
    while "." in module:
        module = module.rpartition(".")[0]
        yield module


def findings(checkout: Path, files: list[SourceFile]) -> dict[str, list[str]]:
    """Return what is counted, each with what was found."""
    rooms = rooms_of(checkout)
    return {
        "rooms of agents": rooms.names,
        "arrows between them": [f"{start} -> {end}" for start, end in rooms.arrows],
        "of these to more than records": [f"{start} -> {end}" for start, end in rooms.below],
        "rooms in rings": in_rings(rooms.arrows),
        "rooms in rings of more than records": in_rings(rooms.below),
        f"functions over {FUNCTION_LINES_MOST} lines": [found for file in files for found in file.long_functions()],
        f"files over {FILE_LINES_MOST} lines": [str(file.path) for file in files if file.line_count > FILE_LINES_MOST],
        "imports in functions": [f"{file.path}:{line}" for file in files for line in file.imports_in_functions()],
        "modules named in no contract": unnamed_modules(checkout, [file.module for file in files]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path, nargs="?", default=Path(__file__).parent.parent)
    parser.add_argument("--verbose", action="store_true", help="list what was counted")
    # All benchmarks take it; there is nothing to make small here.
    parser.add_argument("--small", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    files = source_files(arguments.checkout)
    found = findings(arguments.checkout, files)
    if arguments.verbose:
        for name, values in found.items():
            print(f"{name}:", *values, sep="\n  ", end="\n\n")
    lines = sum(file.line_count for file in files)
    figures: dict[str, float] = {name: len(values) for name, values in found.items()}
    figures |= {"files": len(files), "lines": lines}
    figures["imports in functions per 1,000 lines"] = round(1000 * figures["imports in functions"] / lines, 1)
    print_table([{"what": name, "count": f"{value:,}"} for name, value in figures.items()])
    finish("structure", {"figures": figures})


if __name__ == "__main__":
    main()
