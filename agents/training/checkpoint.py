"""Checkpoints in the object store: each file with its digest, the manifest last; no pickle anywhere.

    <prefix>/step_00000123/attempt_2/model.safetensors      trained weights by name
                                     best.safetensors       those of the best validation so far, where they are others
                                     optimizer.safetensors  moments by name of the weight
                                     random.safetensors     generator states
                                     state.json             scheduler, counts, curve, where in the data
                                     manifest.json          last: sha256 and size of each, and what it is a training of

The attempt is in the key, so that a late writer never mixes its bytes with those of the attempt that replaced it.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from agents.base.agent import Context
from agents.base.errors import CorruptArtifact, NotFound

if TYPE_CHECKING:
    import torch

MANIFEST = "manifest.json"
FORMAT = 1
KEEP = 2
FOLDER = re.compile(r"/step_(?P<step>\d{8})/attempt_(?P<attempt>\d+)/")


@dataclass(frozen=True)
class Checkpoint:
    """All that a training needs to go on as if it had never stopped. Tensors lie on the CPU."""

    step: int
    tensors: "Mapping[str, Mapping[str, torch.Tensor]]"
    """`model`, `optimizer`, `random` and perhaps `best`."""
    state: Mapping[str, Any]


@dataclass(frozen=True)
class Folder:
    """Where one checkpoint lies: `key` ends with a slash."""

    key: str
    step: int
    attempt: int
    keys: tuple[str, ...]

    @property
    def complete(self) -> bool:
        return self.key + MANIFEST in self.keys


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints of one node. `training_sha256` names what is trained: only its own kind is taken up again."""

    context: Context
    training_sha256: str

    @classmethod
    def of(cls, context: Context, training: Mapping[str, Any]) -> Self:
        """`training`: data, base model and dials that a checkpoint is bound to."""
        return cls(context, hashlib.sha256(json.dumps(training, sort_keys=True).encode()).hexdigest())

    def save(self, checkpoint: Checkpoint) -> str:
        """Write a checkpoint, drop old ones, and return its key; until its manifest is there it does not exist."""
        from safetensors.torch import save

        objects, attempt = self.context.objects, self.context.attempt
        key = f"{_slashed(self.context.checkpoint_prefixes[0])}step_{checkpoint.step:08d}/attempt_{attempt}/"
        contents = {f"{name}.safetensors": save(dict(tensors)) for name, tensors in checkpoint.tensors.items()}
        contents["state.json"] = json.dumps(checkpoint.state).encode()
        for name, data in contents.items():
            objects.put(key + name, data)
        files = {
            name: {"sha256": hashlib.sha256(data).hexdigest(), "size_bytes": len(data)}
            for name, data in contents.items()
        }
        manifest = {"format": FORMAT, "step": checkpoint.step, "training_sha256": self.training_sha256, "files": files}
        objects.put_manifest(key + MANIFEST, manifest)
        self._prune(key)
        return key

    def newest(self) -> Checkpoint | None:
        """Return the checkpoint with the most steps over all prefixes that is whole and of this training, or None.

        Torn and changed ones are passed over with a record in the log.
        """
        prefixes = self.context.checkpoint_prefixes
        found = [folder for prefix in prefixes for folder in self._folders(prefix)]
        for folder in sorted(found, key=lambda each: (each.step, each.attempt), reverse=True):
            try:
                return self._load(folder)
            except (CorruptArtifact, NotFound) as fault:
                self.context.log("checkpoint_skipped", level="warning", key=folder.key, reason=fault.message)
        return None

    def _load(self, folder: Folder) -> Checkpoint:
        from safetensors.torch import load

        manifest = self.context.objects.get_manifest(folder.key + MANIFEST)
        if manifest.get("format") != FORMAT or manifest.get("training_sha256") != self.training_sha256:
            raise CorruptArtifact(
                f"The checkpoint '{folder.key}' is of another training (data, model or dials differ)."
            )
        contents = {name: self._checked(folder.key + name, entry) for name, entry in manifest["files"].items()}
        state: dict[str, Any] = json.loads(contents.pop("state.json"))
        tensors = {name.removesuffix(".safetensors"): load(data) for name, data in contents.items()}
        return Checkpoint(manifest["step"], tensors, state)

    def _checked(self, key: str, entry: Mapping[str, Any]) -> bytes:
        data = self.context.objects.get(key)
        if hashlib.sha256(data).hexdigest() != entry["sha256"]:
            raise CorruptArtifact(f"The checkpoint's file '{key}' doesn't match its digest.")
        return data

    def _folders(self, prefix: str) -> list[Folder]:
        grouped: dict[str, list[str]] = {}
        for key in self.context.objects.keys(_slashed(prefix)):
            grouped.setdefault(key.rpartition("/")[0] + "/", []).append(key)
        matches = [(FOLDER.search(key), key, tuple(keys)) for key, keys in grouped.items()]
        return [Folder(key, int(match["step"]), int(match["attempt"]), keys) for match, key, keys in matches if match]

    def _prune(self, just_written: str) -> None:
        """Keep the newest two and the one just written; manifests go first, so that nothing half deleted looks whole.

        Folders of later attempts are left alone: this process may have been replaced without knowing.
        """
        folders = self._folders(self.context.checkpoint_prefixes[0])
        whole = sorted((each for each in folders if each.complete), key=lambda each: (each.step, each.attempt))
        kept = {just_written, *(each.key for each in whole[-KEEP:])}
        gone = [each for each in folders if each.key not in kept and each.attempt <= self.context.attempt]
        if gone:
            self.context.objects.delete([each.key + MANIFEST for each in gone if each.complete])
            self.context.objects.delete([key for each in gone for key in each.keys])


def _slashed(prefix: str) -> str:
    return prefix.rstrip("/") + "/"
