"""Writes the tree in `README.md` from the first sentences of the packages' docstrings; run by `make readme`."""

import ast
import re
from pathlib import Path

REPOSITORY = Path(__file__).parent.parent.parent
README = REPOSITORY / "README.md"
#: Folders at the top in the README's order; those that are no packages with what they hold.
FOLDERS: dict[str, str | None] = {
    "agents": None,
    "pipelines": None,
    "app": None,
    "clients": "What talks to Tuneline over HTTP and imports nothing of it.",
    "tests": None,
    "benchmarks": None,
    "deploy": "Pins, and what compose needs beside its file.",
    "docs": "One page a subject; agents.md and engine.md say how the inside works.",
}
BLOCK = re.compile(r"(?<=## Where things are\n\n).*?(?=\n\n)", re.DOTALL)
WIDTH = 18


def with_tree(readme: str) -> str:
    """Return the README with its tree made anew."""
    return BLOCK.sub(lambda _: tree(), readme, count=1)


def tree() -> str:
    """Return the tree: folders at the top, and the packages right below them."""
    return "\n".join(["```", *(line for name in FOLDERS for line in _lines(name)), "```"])


def first_sentence(package: Path) -> str:
    """Return the first sentence of a package's docstring.

    Raises:
        ValueError: it has none.
    """
    found = ast.get_docstring(ast.parse((package / "__init__.py").read_text(encoding="utf-8")))
    if not found:
        raise ValueError(f"{package.relative_to(REPOSITORY)}/__init__.py has no docstring")
    return re.split(r"(?<=\.)\s", " ".join(found.split()))[0]


def _lines(name: str) -> list[str]:
    folder = REPOSITORY / name
    if not folder.is_dir():
        return []
    said = FOLDERS[name] or first_sentence(folder)
    below = sorted(path.parent for path in folder.glob("*/__init__.py"))
    return [_line(name, said), *(_line(f"  {package.name}", first_sentence(package)) for package in below)]


def _line(name: str, said: str) -> str:
    return f"{name + '/':{WIDTH}}{said}"


if __name__ == "__main__":
    README.write_text(with_tree(README.read_text(encoding="utf-8")), encoding="utf-8")
