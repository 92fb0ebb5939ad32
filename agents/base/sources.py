"""Sources: what a URI in a spec names, as local files. One function per kind of URI.

`hf://org/name@revision`, `s3://bucket/key`, `dataset://<id>`, `package://module/path` or a path.
"""

import importlib.util
import re
from dataclasses import dataclass
from fnmatch import fnmatch
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Literal

from agents.base import bucket
from agents.base.digests import file_digest, folder_digest
from agents.base.errors import CorruptArtifact, InvalidData, InvalidModel, NotAllowed, NotFound, TunelineError
from agents.base.folders import make_folder
from agents.base.object_store import ObjectStore
from agents.base.records import Artifact

SourceKind = Literal["rows", "model", "tokenizer"]

#: Files of a folder that count, by what is wanted: only these are fetched, and only these make the fingerprint.
FILES: dict[SourceKind, list[str]] = {
    "rows": [f"*.{suffix}{packed}" for suffix in ("parquet", "jsonl", "json", "csv", "tsv") for packed in ("", ".gz")],
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
KNOWN_KINDS = "hf://org/name@revision, s3://bucket/key, dataset://<id>, package://module/path or a path"


@dataclass(frozen=True)
class Sources:
    """Resolves URIs for one worker.

    `roots`: folders that path sources may lie in; `cache_dir`: where downloads are kept.
    """

    objects: ObjectStore
    roots: tuple[Path, ...]
    cache_dir: Path

    def local(self, uri: str, kind: SourceKind) -> Path:
        """Return a file or folder with what `uri` names, fetching it once where it is remote.

        Raises:
            InvalidData, InvalidModel: nothing is there, or the URI is of no known kind.
            NotAllowed: a path outside `roots`.
            Unavailable: a server doesn't answer.
        """
        scheme, separator, rest = uri.partition("://")
        if not separator:
            return self._path(uri, kind)
        resolve = {"package": _package, "s3": self._s3, "dataset": self._dataset, "hf": _hub}.get(scheme)
        if resolve is None:
            raise _fault(kind)(f"'{uri}' is of no known kind.", cure=f"Write {KNOWN_KINDS}.")
        return resolve(rest, kind)

    def fingerprint(self, uri: str, kind: SourceKind) -> str:
        """Return a digest that changes whenever the bytes behind `uri` do (sha256, hex)."""
        found = self.local(uri, kind)
        if found.is_dir():
            return folder_digest(found, matching_files(found, kind), self.cache_dir)
        return file_digest(found, self.cache_dir)

    def _path(self, uri: str, kind: SourceKind) -> Path:
        roots = [root.resolve() for root in self.roots]
        candidates = [(root / uri).resolve() for root in roots]
        allowed = [path for path in candidates if any(path.is_relative_to(root) for root in roots)]
        for path in allowed:
            if path.exists():
                return path
        # Of paths outside the roots nobody learns whether they exist.
        if len(allowed) < len(candidates) or not roots:
            raise NotAllowed(
                f"'{uri}' lies outside the folders that sources may come from ({_listed(roots) or 'none'}).",
                cure="Move it there, upload it as a dataset, or add its folder to TUNELINE_DATA_ROOTS.",
            )
        raise _fault(kind)(
            f"There is no '{uri}' below {_listed(roots)}.",
            cure="Check the path, or add its folder to TUNELINE_DATA_ROOTS.",
        )

    def _dataset(self, identifier: str, kind: SourceKind) -> Path:
        uri = f"dataset://{identifier}"
        if not re.fullmatch(r"[\w-]+", identifier):
            raise _fault(kind)(f"'{uri}' is not a dataset id.", cure="Take the id that the upload answered.")
        try:
            manifest = self.objects.get_manifest(bucket.dataset_manifest(identifier))
        except NotFound as fault:
            raise _fault(kind)(
                f"There is no dataset '{uri}'.", cure="List the datasets, or upload the file again."
            ) from fault
        artifact = Artifact.model_validate(manifest["artifact"])
        name = PurePosixPath(str(manifest["filename"]).replace("\\", "/")).name or "rows"
        path = self.cache_dir / "datasets" / artifact.sha256 / name
        make_folder(path.parent, lambda folder: self.objects.get_artifact_file(artifact, folder / name))
        if file_digest(path, self.cache_dir) != artifact.sha256:
            raise CorruptArtifact(f"The cached copy of '{uri}' was changed.", cure=f"Delete {path.parent}.")
        return path

    def _s3(self, rest: str, kind: SourceKind) -> Path:
        name, _, key = rest.partition("/")
        key = key.rstrip("/")
        missing = _fault(kind)(f"There is no 's3://{rest}'.", cure="Check the bucket and the key; both are needed.")
        if not name or not key or ".." in PurePosixPath(key).parts:
            raise missing
        bucket = self.objects.in_bucket(name)
        try:
            keys = [key] if bucket.size(key) is not None else _counting(bucket.keys(f"{key}/"), kind)
            etags = {found: bucket.etag(found) for found in keys}
        except (NotFound, ValueError) as fault:
            # ValueError: the client's word for a bucket's name that no server would take.
            raise missing from fault
        if not keys:
            raise missing
        folder = self.cache_dir / "s3" / _short_digest(name, *etags, *etags.values())
        top = PurePosixPath(key).parent
        make_folder(folder, lambda scratch: _download(bucket, keys, top, scratch))
        return folder / PurePosixPath(key).name


def matching_files(folder: Path, kind: SourceKind) -> list[Path]:
    """Return the files below a folder that count for `kind`, sorted."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return [path for path in files if any(fnmatch(path.name, pattern) for pattern in FILES[kind])]


def _package(rest: str, kind: SourceKind) -> Path:
    """Find a file of an installed package without importing it."""
    module, _, inside = rest.partition("/")
    uri = f"package://{rest}"
    if not module.isidentifier() or ".." in PurePosixPath(inside).parts or inside.startswith("/"):
        raise _fault(kind)(f"'{uri}' does not name a file of a package.", cure="Write package://module/path.")
    spec = importlib.util.find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        raise _fault(kind)(
            f"The package '{module}' of '{uri}' is not installed.", cure=f"Install it: pip install {module}."
        )
    for location in spec.submodule_search_locations:
        if (found := Path(location) / inside).exists():
            return found
    raise _fault(kind)(f"The package '{module}' has no '{inside}'.", cure="Check the path behind the package's name.")


def _hub(rest: str, kind: SourceKind) -> Path:
    # The hub's client is heavy, and other kinds of URIs don't need it.
    from agents.base.hub import REPOSITORY, snapshot

    named = REPOSITORY.fullmatch(rest)
    if named is None:
        raise _fault(kind)(f"'hf://{rest}' is not the name of a repository.", cure="Write hf://org/name@revision.")
    patterns = FILES[kind]
    folder = snapshot(named["name"], named["revision"], rows=kind == "rows", patterns=patterns)
    if not matching_files(folder, kind):
        raise _fault(kind)(
            f"'hf://{rest}' has no files that can be used.", cure=f"It must hold one of {', '.join(patterns[:5])}."
        )
    return folder


def _counting(keys: list[str], kind: SourceKind) -> list[str]:
    return [key for key in keys if any(fnmatch(PurePosixPath(key).name, pattern) for pattern in FILES[kind])]


def _download(bucket: ObjectStore, keys: list[str], top: PurePosixPath, folder: Path) -> None:
    for key in keys:
        path = folder / PurePosixPath(key).relative_to(top)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            file.writelines(bucket.chunks(key))


def _short_digest(*parts: str) -> str:
    return sha256("\n".join(parts).encode()).hexdigest()[:32]


def _listed(roots: list[Path]) -> str:
    return ", ".join(f"'{root}'" for root in roots)


def _fault(kind: SourceKind) -> type[TunelineError]:
    return InvalidData if kind == "rows" else InvalidModel
