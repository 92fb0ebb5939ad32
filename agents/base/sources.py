"""Sources: what a URI in a spec names, as local files. One function per kind of URI.

`hf://org/name@revision`, `s3://bucket/key`, `dataset://<id>`, `package://module/path` or a path.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from agents.base.objects import ObjectStore

SourceKind = Literal["rows", "model"]


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
        raise NotImplementedError

    def fingerprint(self, uri: str, kind: SourceKind) -> str:
        """Return a digest that changes whenever the bytes behind `uri` do (sha256, hex)."""
        raise NotImplementedError
