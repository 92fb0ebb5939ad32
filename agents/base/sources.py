"""Sources: what a URI in a spec names, as local files. One function per kind of URI.

`hf://org/name@revision`, `s3://bucket/key`, `dataset://<id>`, `package://module/path` or a path.
"""

import importlib.util
import os
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Literal

from pydantic import ValidationError

from agents.base import bucket
from agents.base.beneath import is_hidden, real_file, write_below
from agents.base.digests import file_digest, folder_digest
from agents.base.errors import CorruptArtifact, InvalidData, InvalidModel, NotAllowed, NotFound, TunelineError
from agents.base.folders import make_folder
from agents.base.names import checked_name, usable_file_name
from agents.base.object_store import ObjectStore
from agents.base.records import Artifact
from agents.base.roots import Roots
from agents.base.row_budget import RowBudget
from agents.base.source_uri import (
    BUCKET,
    DATASET_ID,
    HUB_ROWS_FORM,
    KINDS,
    SOURCE_PACKAGES,
    checked_uri,
    hub_rows_of,
    is_hub_name,
    place_in_package,
    repository_of,
)

SourceKind = Literal["rows", "model", "tokenizer"]

#: Files of a folder that count, by what is wanted: only these are fetched, and only these make the fingerprint.
ROW_SUFFIXES = (
    *("parquet", "pq", "jsonl", "ndjson", "json", "csv", "tsv", "tab", "xlsx", "xlsb", "xls", "ods", "arrow"),
    *("feather", "txt", "text", "md", "yml", "yaml", "data", "dat", "zip"),
)
FILES: dict[SourceKind, list[str]] = {
    "rows": [f"*.{suffix}{packed}" for suffix in ROW_SUFFIXES for packed in ("", ".gz", ".bz2", ".xz", ".zst")],
    "model": [
        *("*.safetensors", "*.safetensors.index.json", "config.json", "generation_config.json", "*.gguf"),
        *("tokenizer*", "special_tokens_map.json", "added_tokens.json", "chat_template*", "vocab*", "merges.txt"),
        *("*.model", "adapter_config.json"),
    ],
    "tokenizer": [
        *("config.json", "tokenizer*", "special_tokens_map.json", "added_tokens.json", "chat_template*", "vocab*"),
        *("merges.txt", "*.model"),
    ],
}
#: Folders that systems and tools leave beside files.
SKIPPED = frozenset({"__MACOSX", "__pycache__"})


@dataclass(frozen=True)
class Sources:
    """Resolves URIs for one worker.

    `roots`: folders that path sources may lie in; `cache_dir`: where downloads are kept; `private`: folders that are
    never sources, such as the state folder; `packages`: packages, or folders of packages, that may be sources.
    """

    objects: ObjectStore
    roots: tuple[Path, ...]
    cache_dir: Path
    private: tuple[Path, ...] = ()
    packages: tuple[str, ...] = SOURCE_PACKAGES
    rows: RowBudget = field(default_factory=RowBudget)
    """What a file of rows may hold."""

    def local(self, uri: str, kind: SourceKind) -> Path:
        """Return a file or folder with what `uri` names, fetching it once where it is remote.

        Raises:
            InvalidData, InvalidModel: nothing is there, or the URI is of no known kind.
            NotAllowed: a path outside `roots`, a hidden or private file, something that is no file, a folder with a
                link out of it, or a package that is not for sources.
            Unavailable: a server doesn't answer.
        """
        try:
            scheme, separator, rest = checked_uri(uri).partition("://")
        except ValueError as fault:
            raise _fault(kind)(str(fault)) from fault
        if not separator:
            return _checked(self._path(uri, kind))
        resolve = {"package": self._package, "s3": self._s3, "dataset": self._dataset, "hf": self._hub}.get(scheme)
        if resolve is None:
            raise _fault(kind)(f"'{uri}' is of no known kind.", cure=f"Write {KINDS}.")
        return _checked(resolve(rest, kind))

    def fingerprint(self, uri: str, kind: SourceKind) -> str:
        """Return a digest that changes whenever the bytes behind `uri` do (sha256, hex)."""
        found = self.local(uri, kind)
        if found.is_dir():
            return folder_digest(found, matching_files(found, kind), self.cache_dir)
        return file_digest(found, self.cache_dir)

    def _path(self, uri: str, kind: SourceKind) -> Path:
        try:
            return Roots(self.roots, self.private).find(uri)
        except NotFound as fault:
            hub = f" For what lies on the Hugging Face hub write hf://{uri}." if is_hub_name(uri) else ""
            raise _fault(kind)(fault.message, cure=f"{fault.cure}{hub}") from fault

    def _dataset(self, identifier: str, kind: SourceKind) -> Path:
        uri = f"dataset://{identifier}"
        if not DATASET_ID.fullmatch(identifier):
            raise _fault(kind)(f"'{uri}' is not a dataset id.", cure="Take the id that the upload answered.")
        try:
            manifest = self.objects.get_manifest(bucket.dataset_manifest(identifier))
        except NotFound as fault:
            raise _fault(kind)(
                f"There is no dataset '{uri}'.", cure="List the datasets, or upload the file again."
            ) from fault
        try:
            artifact = Artifact.model_validate(manifest.get("artifact"))
        except ValidationError as fault:
            raise CorruptArtifact(f"The manifest of '{uri}' is damaged.", cure="Upload the file again.") from fault
        name = usable_file_name(str(manifest.get("filename")), otherwise="rows")
        path = self.cache_dir.resolve() / "datasets" / artifact.sha256 / name
        make_folder(path.parent, lambda folder: self.objects.get_artifact_file(artifact, folder / name))
        if not path.exists():
            # The same bytes were fetched before under another name.
            with write_below(path.parent, name) as file:
                self.objects.copy_artifact(artifact, file)
        if file_digest(path, self.cache_dir) != artifact.sha256:
            raise CorruptArtifact(f"The cached copy of '{uri}' was changed.", cure=f"Delete {path.parent}.")
        return path

    def _s3(self, rest: str, kind: SourceKind) -> Path:
        name, _, key = rest.partition("/")
        key = key.rstrip("/")
        missing = _fault(kind)(f"There is no 's3://{rest}'.", cure="Check the bucket and the key; both are needed.")
        if not BUCKET.fullmatch(name) or not key:
            raise missing
        local_name(key)
        bucket = self.objects.in_bucket(name)
        try:
            keys = [key] if bucket.size(key) is not None else _counting(bucket.keys(f"{key}/"), kind)
            etags = {found: bucket.etag(found) for found in keys}
        except (NotFound, ValueError) as fault:
            # ValueError: the client's word for a bucket's name that no server would take.
            raise missing from fault
        if not keys:
            raise missing
        folder = self.cache_dir.resolve() / "s3" / _short_digest(name, *etags, *etags.values())
        above = key.rpartition("/")[0]
        make_folder(folder, lambda scratch: _download(bucket, keys, above, scratch))
        return folder / PurePosixPath(local_name(key)).name

    def _hub(self, rest: str, kind: SourceKind) -> Path:
        if kind != "rows":
            return _hub(rest, kind)
        try:
            # The library of data sets is heavy, and other kinds of URIs don't need it.
            from agents.base.hub_rows import fetch_rows
        except ImportError as fault:
            raise InvalidData(
                f"'hf://{rest}' is read by `datasets`, which is not installed here.", cure="Install the extra `train`."
            ) from fault
        try:
            wanted = hub_rows_of(rest)
        except ValueError as fault:
            raise InvalidData(str(fault), cure=f"Write {HUB_ROWS_FORM}.") from fault
        return fetch_rows(wanted, self.cache_dir)

    def _package(self, rest: str, kind: SourceKind) -> Path:
        """Find a file of an installed package without importing it."""
        try:
            module, inside = place_in_package(rest)
        except ValueError as fault:
            raise _fault(kind)(str(fault), cure="Write package://module/path.") from fault
        if not any(f"{module}/{inside}/".startswith(f"{allowed}/") for allowed in self.packages):
            raise NotAllowed(
                f"'package://{rest}' lies in no package that sources may come from ({', '.join(self.packages)}).",
                cure="Upload the file as a dataset, or add the package to TUNELINE_SOURCE_PACKAGES.",
            )
        return _in_package(module, inside, kind)


def matching_files(folder: Path, kind: SourceKind) -> list[Path]:
    """Return the files below a folder that count for `kind`, sorted; hidden files and folders don't, nor do links to
    folders.

    Raises:
        NotAllowed: one of them is a link that leads out of its folder.
    """
    found = []
    for above, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not is_skipped(name)]
        found += [Path(above, name) for name in names if not is_skipped(name) and _counts(name, kind)]
    return [path for path in sorted(found) if _is_file(path)]


def is_skipped(name: str) -> bool:
    """Say whether a file or folder of this name is never read: it is hidden, or the system's own."""
    return name.startswith(".") or name in SKIPPED


def counts_as_rows(name: str) -> bool:
    """Say whether a file may hold rows, by its name."""
    return _counts(PurePosixPath(name).name, "rows")


def local_name(key: str) -> str:
    """Return the name below a folder of this machine for a key of an object store.

    Raises:
        NotAllowed: it would lead elsewhere, or is hidden.
    """
    try:
        return checked_name(key.replace(":", "_"))
    except ValueError as fault:
        raise NotAllowed(f"The key of an object can't be a source: {fault}") from fault


def _checked(found: Path) -> Path:
    """Refuse a folder with a link out of it before a library follows it."""
    if found.is_dir():
        for above, folders, names in os.walk(found):
            folders[:] = [name for name in folders if not name.startswith(".")]
            for path in (Path(above, name) for name in (*folders, *names)):
                _check_link(path)
    return found


def _check_link(path: Path) -> None:
    if path.is_symlink() and path.exists():
        real_file(path)


def _is_file(path: Path) -> bool:
    _check_link(path)
    return path.is_file()


def _counts(name: str, kind: SourceKind) -> bool:
    return any(fnmatchcase(name.lower() if kind == "rows" else name, pattern) for pattern in FILES[kind])


def _in_package(module: str, inside: str, kind: SourceKind) -> Path:
    spec = importlib.util.find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        raise _fault(kind)(
            f"The package '{module}' of 'package://{module}/{inside}' is not installed.",
            cure=f"Install it: pip install {module}.",
        )
    for location in spec.submodule_search_locations:
        home = Path(location).resolve()
        found = (home / inside).resolve()
        if found.exists() and found.is_relative_to(home) and not is_hidden(found.relative_to(home)):
            return found
    raise _fault(kind)(f"The package '{module}' has no '{inside}'.", cure="Check the path behind the package's name.")


def _hub(rest: str, kind: SourceKind) -> Path:
    # The hub's client is heavy, and other kinds of URIs don't need it.
    from agents.base.hub import snapshot

    try:
        repository = repository_of(rest)
    except ValueError as fault:
        raise _fault(kind)(str(fault), cure="Write hf://org/name@revision.") from fault
    patterns = FILES[kind]
    folder = snapshot(repository, rows=False, patterns=patterns)
    if not matching_files(folder, kind):
        raise _fault(kind)(
            f"'hf://{rest}' has no files that can be used.", cure=f"It must hold one of {', '.join(patterns[:5])}."
        )
    return folder


def _counting(keys: list[str], kind: SourceKind) -> list[str]:
    """Return the keys whose files count; what is hidden below the prefix doesn't."""
    return [key for key in keys if _counts(PurePosixPath(key).name, kind) and not is_hidden(PurePosixPath(key))]


def _download(bucket: ObjectStore, keys: list[str], above: str, folder: Path) -> None:
    for key in keys:
        with write_below(folder, local_name(key.removeprefix(f"{above}/" if above else ""))) as file:
            file.writelines(bucket.chunks(key))


def _short_digest(*parts: str) -> str:
    return sha256("\n".join(parts).encode()).hexdigest()[:32]


def _fault(kind: SourceKind) -> type[TunelineError]:
    return InvalidData if kind == "rows" else InvalidModel
