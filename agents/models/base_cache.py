"""Base models in memory, each once: versions tuned on the same base are small models over the very same weights."""

import threading
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from agents.base.errors import InvalidModel, NotAllowed, NotFound
from agents.base.sources import Sources
from agents.models.kinds import ModelKind

if TYPE_CHECKING:
    from agents.models.shared_base import SharedBase


class SharedBases:
    """The bases of this process, by their bytes and what they are loaded as. One that nobody holds is freed."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._held: WeakValueDictionary[tuple[str, ModelKind], SharedBase] = WeakValueDictionary()
        self._lock = threading.Lock()

    def get(self, uri: str, fingerprint: str, kind: ModelKind) -> "SharedBase":
        """Return a base; whoever holds one of this fingerprint already shares it, wherever it came from.

        Raises:
            InvalidModel: it can't be had here, is not the one of this fingerprint any more, or is not of this kind.
            Unavailable: a server doesn't answer.
        """
        # A process that serves no adapter needs no torch.
        from agents.models.shared_base import load_shared_base

        with self._lock:
            base = self._held.get((fingerprint, kind))
            if base is None:
                path = self._find(uri, fingerprint)
                base = self._held[fingerprint, kind] = load_shared_base(path, kind, self._sources.cache_dir)
            return base

    def _find(self, uri: str, fingerprint: str) -> Path:
        """Return where the base is on this machine, fetched once where it is remote."""
        otherwise = "Or serve `merged`, which needs no base."
        try:
            found, path = self._sources.fingerprint(uri, "model"), self._sources.local(uri, "model")
        except (InvalidModel, NotAllowed, NotFound) as fault:
            raise InvalidModel(
                f"The adapter's base model can't be had on this machine: {fault.message}",
                cure=f"{fault.cure} {otherwise}".strip(),
            ) from fault
        if found != fingerprint:
            raise InvalidModel(
                f"The base model '{uri}' is not the one that the adapter was trained on: its fingerprint is "
                f"{found[:12]}, the manifest says {fingerprint[:12]}.",
                cure=f"Bring back those files (name a revision with hf://), or train again on these. {otherwise}",
            )
        return path
