"""The page of walks: what it names is there, and each of its legs goes down only."""

import ast
import re
from itertools import combinations

import grimp
import pytest

from tests.conftest import REPOSITORY

PAGE = (REPOSITORY / "docs" / "walks.md").read_text()
NAMED = re.compile(r"`((?:agents|app|pipelines)/[\w/]+\.py): ([\w.]+)`")
LEG = re.compile(r"^\| call \|.*\n\| ---.*\n((?:\|.*\n)+)", re.MULTILINE)
LEGS = [[NAMED.findall(line)[0][0] for line in leg.splitlines()] for leg in LEG.findall(PAGE)]


def names_in(body: list[ast.stmt], before: str = "") -> set[str]:
    """Return the functions and classes that are defined in a file, those of classes as `Class.name`."""
    found = set()
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(before + node.name)
        if isinstance(node, ast.ClassDef):
            found |= names_in(node.body, f"{before}{node.name}.")
    return found


def module_of(path: str) -> str:
    return path.removesuffix(".py").replace("/", ".").removesuffix(".__init__")


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph("agents", "app", "pipelines", cache_dir=None)


def above(graph: grimp.ImportGraph, leg: list[str]) -> list[tuple[str, str]]:
    """Return the files of a leg that import one which stands above them."""
    pairs = [(module_of(higher), module_of(lower)) for higher, lower in combinations(leg, 2)]
    return [(lower, higher) for higher, lower in pairs if graph.chain_exists(importer=lower, imported=higher)]


@pytest.mark.parametrize("path", sorted({path for path, _ in NAMED.findall(PAGE)}))
def test_what_is_named_is_there(path: str) -> None:
    defined = names_in(ast.parse((REPOSITORY / path).read_text()).body)
    assert {name for other, name in NAMED.findall(PAGE) if other == path} <= defined


def test_the_page_names_nothing_else_in_another_form() -> None:
    """A path with a name behind it that the test above would not see."""
    assert len(re.findall(r"\.py: ", PAGE)) == len(NAMED.findall(PAGE))


@pytest.mark.parametrize("leg", LEGS, ids=lambda leg: f"{leg[0]} to {leg[-1]}")
def test_a_leg_goes_down_only(graph: grimp.ImportGraph, leg: list[str]) -> None:
    assert above(graph, leg) == []


def test_a_way_up_is_seen(graph: grimp.ImportGraph) -> None:
    leg = ["pipelines/engine/state/queue.py", "pipelines/engine/worker/runner.py"]
    assert above(graph, leg) == [("pipelines.engine.worker.runner", "pipelines.engine.state.queue")]
