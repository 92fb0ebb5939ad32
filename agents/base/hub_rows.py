"""Rows of a data set on the hub, by Hugging Face's `datasets`: configurations, splits and revisions as it knows them,
each split as one Parquet file. Nothing in a repository is ever run, and nothing outside of it is read."""

import posixpath
import re
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import datasets
import yaml
from huggingface_hub import errors, hf_hub_download
from huggingface_hub.utils import EntryNotFoundError

from agents.base.errors import InvalidData, NotAllowed, TunelineError, first_line
from agents.base.folders import make_folder, write_file
from agents.base.hub import snapshot
from agents.base.names import printable
from agents.base.source_uri import HubRows

#: Of the library's readers those of rows; others read pictures, sounds, archives of files, or databases.
READERS = frozenset({"arrow", "cache", "csv", "json", "parquet", "text"})
#: Files of a repository that say which of its files are the data.
CARDS = ("README.md", ".huggingface.yaml")
#: Lists of classes have some thousands.
CARD_VALUES_MOST = 1_000_000
FRONT_MATTER = re.compile(r"\A\s*---\r?\n(.*?)\r?\n---\s*(?:\r?\n|\Z)", re.DOTALL)
#: What the library unpacks onto the disk, whatever is in it.
ARCHIVES = (".zip", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz", ".7z", ".rar")
PARQUET_BRANCH = "refs/convert/parquet"
ROW_FILES = ("*.parquet", "*.arrow", "*.json*", "*.csv*", "*.tsv*", "*.txt*", *CARDS)


def fetch_rows(wanted: HubRows, cache_dir: Path) -> Path:
    """Return a folder with one Parquet file a split, from the network, from what was fetched before, or from the
    library's or the hub's cache.

    Raises:
        InvalidData: no such repository, revision, configuration or split, or no rows that the library can read.
        NotAllowed: the repository asks for a permission that the token lacks, or names files outside of itself.
    """
    datasets.disable_progress_bars()
    home = cache_dir.resolve() / "hub"
    known = home / f"{_digest(str(wanted))}.txt"
    try:
        builder = _builder(wanted)
    except TunelineError:
        raise
    except Exception as fault:
        # The library raises from several others, without a common root.
        if _answered(fault):
            raise _explained(fault, wanted) from fault
        # What was made before is as good.
        if known.is_file() and (folder := home / known.read_text(encoding="utf-8")).is_dir():
            return folder
        builder = _from_snapshot(wanted)
    name = _digest(str(wanted), builder.config.name, str(builder.cache_dir), *_data_files(builder))
    folder = make_folder(home / name, lambda scratch: _write(builder, wanted, scratch))
    write_file(known, name)
    return folder


def _builder(wanted: HubRows) -> datasets.DatasetBuilder:
    """Return what prepares the data set, once it is sure that it reads files of the repository alone."""
    name, revision = wanted.repository
    _check_cards(_cards(name, revision), uri_of(wanted))
    builder = datasets.load_dataset_builder(f"hf://datasets/{name}", wanted.config, revision=revision)
    return _checked(builder, wanted, f"hf://datasets/{name}@")


def _from_snapshot(wanted: HubRows) -> datasets.DatasetBuilder:
    """Return what prepares the data set from its files in the hub's cache."""
    folder = snapshot(wanted.repository, rows=True, patterns=list(ROW_FILES))
    _check_cards({name: path for name in CARDS if (path := folder / name).is_file()}, uri_of(wanted))
    try:
        builder = datasets.load_dataset_builder(str(folder), wanted.config)
    except Exception as fault:
        raise _explained(fault, wanted) from fault
    return _checked(builder, wanted, f"{folder}/")


def _cards(name: str, revision: str | None) -> dict[str, Path]:
    found = {}
    for card in CARDS:
        try:
            found[card] = Path(hf_hub_download(name, card, repo_type="dataset", revision=revision))
        except EntryNotFoundError as fault:
            if isinstance(fault, errors.LocalEntryNotFoundError):
                raise
    return found


def _check_cards(cards: Mapping[str, Path], uri: str) -> None:
    """Refuse a card that names data outside of its repository, before the library looks for it.

    Raises:
        NotAllowed: with the name.
    """
    for name, path in cards.items():
        text = path.read_text(encoding="utf-8", errors="replace")
        found = FRONT_MATTER.match(text) if name.endswith(".md") else None
        try:
            settings = yaml.safe_load(found[1] if found else "" if name.endswith(".md") else text)
            _check_size(settings)
        except (yaml.YAMLError, ValueError, RecursionError) as fault:
            raise InvalidData(
                f"{name} of '{uri}' can't be read as YAML: {first_line(fault)}.", cure="Take another revision."
            ) from fault
        for pattern in _patterns(settings.get("configs") if isinstance(settings, dict) else None):
            if "://" in pattern or "::" in pattern or posixpath.isabs(pattern) or ".." in pattern.split("/"):
                raise NotAllowed(
                    f"{name} of '{uri}' names data outside of it: '{printable(pattern)}'.",
                    cure="Download that data, and upload it as a dataset.",
                )


def _check_size(settings: Any) -> None:
    """Refuse settings that become very many by aliases of YAML.

    Raises:
        ValueError: with the figure.
    """
    left, waiting = CARD_VALUES_MOST, [settings]
    while waiting:
        value, left = waiting.pop(), left - 1
        if left < 0:
            raise ValueError(f"more than {CARD_VALUES_MOST:,} values")
        if isinstance(value, list | dict):
            waiting += value.values() if isinstance(value, dict) else value


def _patterns(value: Any) -> Iterator[str]:
    """Yield all texts in the settings of data files."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _patterns(inner)


def _data_files(builder: datasets.DatasetBuilder) -> list[str]:
    splits = builder.config.data_files or {}
    return sorted(str(file) for files in splits.values() for file in files)


def _checked(builder: datasets.DatasetBuilder, wanted: HubRows, home: str) -> datasets.DatasetBuilder:
    """Refuse a data set that is none of rows, or whose files lie elsewhere."""
    uri, reader = uri_of(wanted), type(builder).__module__.rpartition(".")[2]
    if reader not in READERS:
        raise InvalidData(
            f"'{uri}' holds no rows of text: `datasets` reads it as {reader}.",
            cure="Name one with JSON, CSV, Parquet, Arrow or text files.",
        )
    for file in _data_files(builder):
        if not file.startswith(home):
            raise NotAllowed(
                f"'{uri}' reads '{printable(file)}', which is not in it.", cure="Upload that file as a dataset."
            )
        if file.lower().endswith(ARCHIVES):
            raise InvalidData(
                f"'{uri}' has its rows in the archive '{printable(file.rpartition('/')[2])}'.",
                cure="Download the archive, and upload it as a dataset.",
            )
    return builder


def _write(builder: datasets.DatasetBuilder, wanted: HubRows, folder: Path) -> None:
    """Write each split that is wanted as a Parquet file of its name; class labels keep their names in it."""
    try:
        if wanted.rows is None:
            builder.download_and_prepare()
            loaded = builder.as_dataset()
        else:
            loaded = builder.as_streaming_dataset()
        for name in _splits(list(loaded), wanted):
            rows = loaded[name] if wanted.rows is None else loaded[name].take(wanted.rows)
            rows.to_parquet(str(folder / f"{name}.parquet"))
    except TunelineError:
        raise
    except Exception as fault:
        raise _explained(fault, wanted) from fault


def _splits(names: list[str], wanted: HubRows) -> list[str]:
    if wanted.split is None:
        return names
    if wanted.split not in names:
        raise InvalidData(
            f"'{uri_of(wanted)}' has no split '{wanted.split}'; it has: {', '.join(sorted(names)[:20])}.",
            cure="Write one of them as `split`, or leave it out.",
        )
    return [wanted.split]


def _answered(fault: Exception) -> bool:
    """Say whether the hub answered, or the library knew what is wrong."""
    for one in (fault, *_causes(fault)):
        if isinstance(one, errors.OfflineModeIsEnabled | errors.LocalEntryNotFoundError | ConnectionError):
            return False
        if isinstance(one, errors.HfHubHTTPError | datasets.exceptions.DatasetsError | ValueError | RuntimeError):
            return True
    return False


def _explained(fault: Exception, wanted: HubRows) -> TunelineError:
    uri, said = uri_of(wanted), " ".join(str(fault).split())
    causes = [fault, *_causes(fault)]
    if any(isinstance(one, errors.GatedRepoError) for one in causes) or "gated dataset" in said:
        return NotAllowed(
            f"'{uri}' is gated.", cure="Ask its owner for access on its page, and set HF_TOKEN for the workers."
        )
    if any(isinstance(one, errors.RevisionNotFoundError) for one in causes) or said.startswith("Revision '"):
        return InvalidData(f"The hub's repository has no such revision: '{uri}'.", cure="Name a branch, tag or commit.")
    if any(isinstance(one, errors.RepositoryNotFoundError) for one in causes) or "doesn't exist on the Hub" in said:
        return InvalidData(
            f"The hub has no '{uri}'.", cure="Check the name; for a private one set HF_TOKEN for the workers."
        )
    if "scripts are no longer supported" in said:
        return InvalidData(
            f"'{uri}' is a script, which is never run.",
            cure=f"Name its rows as the hub has converted them: hf://{wanted.repository.name}@{PARQUET_BRANCH}.",
        )
    if "BuilderConfig" in said or "Config name is missing" in said:
        names = re.findall(r"'([^']{1,100})'", said.partition("[")[2].partition("]")[0])
        return InvalidData(
            f"'{uri}' has several configurations, or not this one: {', '.join(names[:50])}.",
            cure=f"Write one: hf://{wanted.repository.name}?config={names[0] if names else 'NAME'}.",
        )
    if isinstance(fault, datasets.exceptions.DatasetGenerationError | datasets.exceptions.DataFilesNotFoundError):
        return InvalidData(
            f"`datasets` can't make rows of '{uri}': {said[:300]}.",
            cure="Download its files (`hf download --repo-type dataset`), and name their folder or upload them.",
        )
    return InvalidData(
        f"'{uri}' can't be fetched ({type(fault).__name__}): it needs network or a local cache.",
        cure="Connect the worker, fill the hub's cache (HF_HOME), or name a folder in a data root.",
    )


def _causes(fault: BaseException) -> Iterator[BaseException]:
    seen = 0
    while (cause := fault.__cause__ or fault.__context__) is not None and seen < 10:
        yield cause
        fault, seen = cause, seen + 1


def uri_of(wanted: HubRows) -> str:
    """Return how rows of a hub are named, without what is asked of them."""
    name, revision = wanted.repository
    return f"hf://{name}" + (f"@{revision}" if revision else "")


def _digest(*parts: str) -> str:
    return sha256("\n".join(parts).encode()).hexdigest()[:32]
