"""The roots of path sources: hidden files and Tuneline's own state are never sources, however they are named."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agents.base.errors import NotAllowed, NotFound
from agents.base.roots import Roots
from agents.base.source_uri import checked_uri, place_in_package, repository_of

FILES = ("rows.csv", ".env", ".git/config", "sub/.secret.csv", "state/history.db", "sub/rows.csv", "data.d/x.csv")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in FILES:
        path = tmp_path / "root" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path / "root"


@pytest.fixture
def roots(root: Path) -> Roots:
    return Roots((root,), (root / "state",))


@pytest.mark.parametrize("name", ["rows.csv", "./rows.csv", "sub/../rows.csv", "sub/rows.csv", "sub", "data.d/x.csv"])
def test_files_and_folders_below_a_root_are_found(roots: Roots, root: Path, name: str) -> None:
    assert roots.find(name) == (root / name).resolve()
    assert roots.find(str(root / name)) == (root / name).resolve()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        *((name, "is hidden") for name in (".env", "./.env", "sub/../.env", ".git", ".git/config", "sub/.secret.csv")),
        *((name, "Tuneline's own state") for name in ("state", "state/history.db", "sub/../state/history.db")),
        *((name, "is the whole of") for name in ("", ".", "./", "sub/..", "sub/../.")),
        *((name, "lies outside") for name in ("..", "../x", "/etc/passwd", "/", "~/x/../../../../../../etc/passwd")),
    ],
)
def test_what_is_no_source_is_refused_with_the_reason(roots: Roots, name: str, reason: str) -> None:
    with pytest.raises(NotAllowed, match=reason) as refused:
        roots.find(name)
    assert refused.value.cure


@pytest.mark.parametrize("target", [".env", ".git", "state/history.db", "state", "../outside.csv", "/etc/passwd"])
def test_a_link_leads_to_none_of_them_either(roots: Roots, root: Path, target: str) -> None:
    (root.parent / "outside.csv").write_text("x")
    (root / "link.csv").symlink_to(target)
    with pytest.raises(NotAllowed):
        roots.find("link.csv")


def test_the_state_folder_is_known_by_what_it_is_whatever_it_is_called(root: Path) -> None:
    (root.parent / "elsewhere").symlink_to(root / "state")
    with pytest.raises(NotAllowed, match="own state"):
        Roots((root,), (root.parent / "elsewhere",)).find("state/history.db")


def test_a_folder_with_the_state_folder_in_it_is_no_source_unless_that_is_hidden(root: Path) -> None:
    with pytest.raises(NotAllowed, match="has Tuneline's own state folder in it"):
        Roots((root.parent,), (root / "state",)).find("root")

    assert Roots((root.parent,), (root / ".git",)).find("root") == root


def test_a_root_within_the_state_folder_has_no_sources(root: Path) -> None:
    with pytest.raises(NotAllowed, match="own state"):
        Roots((root / "state",), (root / "state",)).find("history.db")


def test_a_hidden_folder_that_the_operator_names_as_a_root_is_one(root: Path) -> None:
    (root / ".git" / "rows.csv").write_text("x")

    assert Roots((root, root / ".git"), ()).find(str(root / ".git" / "rows.csv")).name == "rows.csv"


def test_a_pipe_and_links_in_a_ring_are_refused_in_a_sentence(roots: Roots, root: Path) -> None:
    os.mkfifo(root / "pipe.csv")
    (root / "ring.csv").symlink_to("ring.csv")
    with pytest.raises(NotAllowed, match="it is a pipe"):
        roots.find("pipe.csv")
    with pytest.raises(NotFound, match=r"There is no 'ring\.csv'"):
        roots.find("ring.csv")


PIECES = ["a", "/", ".", "..", "~", "\x00", "sub", "state", ".env", ".git", "rows.csv", "history.db"]


@given(name=st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_the_name_only_a_visible_file_below_the_root_is_found(roots: Roots, root: Path, name: str) -> None:
    try:
        found = roots.find(name)
    except (NotAllowed, NotFound):
        return
    inside = found.relative_to(root)
    assert not any(part.startswith(".") for part in inside.parts)
    assert inside.parts[:1] != ("state",)


@pytest.mark.parametrize("uri", ["", " ", ".", "./", "x" * 6000, "a\x00b", "rows.csv\n", "hf://a/b\u202e", "\ud800"])
def test_texts_that_can_name_nothing_are_refused_before_anything_is_looked_for(uri: str) -> None:
    with pytest.raises(ValueError, match=r"names nothing|characters|nobody sees"):
        checked_uri(uri)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "org/good@../../../../hf_upload",
            "org/good@a/../b",
            "org/good@",
            "org/good@/x",
            "org/good@.hidden",
            "org/a@b//c",
        ),
        *(
            "org/..",
            "../good",
            "org/good/more",
            "org",
            "/good",
            "org/",
            "org/a--b",
            "-org/good",
            "org/good.",
            "o\u0301rg/x",
        ),
        *("org/good@x\\..\\y", "org/good@-x", f"org/good@{'x' * 300}", "org/good@main@x", "org/go od"),
    ],
)
def test_no_repository_or_revision_leads_out_of_the_hubs_cache(text: str) -> None:
    with pytest.raises(ValueError, match="is not the name of a repository"):
        repository_of(text)


def test_repositories_have_branches_tags_and_commits() -> None:
    assert repository_of("org/name") == ("org/name", None)
    assert repository_of("org/name.v2@refs/pr/12") == ("org/name.v2", "refs/pr/12")
    assert repository_of("o/n@v1.0+cpu") == ("o/n", "v1.0+cpu")


@pytest.mark.parametrize(
    "text", ["json", "json/", "a-b/c", "a.b/c", "/a", "json/../pip/x", "json/.x", "json//x", "j\u017fon/x"]
)
def test_a_place_in_a_package_is_below_it(text: str) -> None:
    with pytest.raises(ValueError, match="does not name a file of a package"):
        place_in_package(text)
