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
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import torch
from safetensors.torch import load, save

from agents.base import bucket
from agents.base.agent import Context
from agents.base.errors import CorruptArtifact, NotFound

FORMAT = 1
KEEP = 2


@dataclass(frozen=True)
class Checkpoint:
    """All that a training needs to go on as if it had never stopped. Tensors lie on the CPU."""

    step: int
    tensors: Mapping[str, Mapping[str, torch.Tensor]]
    """`model`, `optimizer`, `random` and perhaps `best`."""
    state: Mapping[str, Any]


@dataclass(frozen=True)
class Stored:
    """One checkpoint in the store, with the keys of its files."""

    folder: bucket.CheckpointFolder
    keys: tuple[str, ...]

    @property
    def manifest(self) -> str:
        return self.folder.key + bucket.MANIFEST

    @property
    def complete(self) -> bool:
        return self.manifest in self.keys

    @property
    def order(self) -> tuple[int, int]:
        return self.folder.step, self.folder.attempt


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints of one node. `training_sha256` names what is trained: only its own kind is taken up again."""

    context: Context
    training_sha256: str

    @classmethod
    def of(cls, context: Context, training: Mapping[str, Any]) -> Self:
        """`training`: data, base model and hyperparameters that a checkpoint is bound to."""
        return cls(context, hashlib.sha256(json.dumps(training, sort_keys=True).encode()).hexdigest())

    def save(self, checkpoint: Checkpoint) -> str:
        """Write a checkpoint, drop old ones, and return its key; until its manifest is there it does not exist."""
        objects, attempt = self.context.objects, self.context.attempt
        key = bucket.checkpoint_folder(self.context.checkpoint_prefixes[0], checkpoint.step, attempt).key
        contents = {f"{name}.safetensors": save(dict(tensors)) for name, tensors in checkpoint.tensors.items()}
        contents["state.json"] = json.dumps(checkpoint.state).encode()
        for name, data in contents.items():
            objects.put(key + name, data)
        files = {
            name: {"sha256": hashlib.sha256(data).hexdigest(), "size_bytes": len(data)}
            for name, data in contents.items()
        }
        manifest = {"format": FORMAT, "step": checkpoint.step, "training_sha256": self.training_sha256, "files": files}
        objects.put_manifest(key + bucket.MANIFEST, manifest)
        self._prune(key)
        return key

    def newest(self) -> Checkpoint | None:
        """Return the checkpoint with the most steps over all prefixes that is whole and of this training, or None.

        Torn and changed ones are passed over with a record in the log.
        """
        found = [stored for prefix in self.context.checkpoint_prefixes for stored in self._stored(prefix)]
        for stored in sorted(found, key=lambda each: each.order, reverse=True):
            try:
                return self._load(stored)
            except (CorruptArtifact, NotFound) as fault:
                self.context.log("checkpoint_skipped", level="warning", key=stored.folder.key, reason=fault.message)
        return None

    def _load(self, stored: Stored) -> Checkpoint:
        folder, manifest = stored.folder, self.context.objects.get_manifest(stored.manifest)
        if manifest.get("format") != FORMAT or manifest.get("training_sha256") != self.training_sha256:
            raise CorruptArtifact(
                f"The checkpoint '{folder.key}' is of another training (its data, model or hyperparameters differ)."
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

    def _stored(self, prefix: str) -> list[Stored]:
        grouped: dict[bucket.CheckpointFolder, list[str]] = {}
        for key in self.context.objects.keys(bucket.below(prefix)):
            if folder := bucket.checkpoint_folder_of(key):
                grouped.setdefault(folder, []).append(key)
        return [Stored(folder, tuple(keys)) for folder, keys in grouped.items()]

    def _prune(self, just_written: str) -> None:
        """Keep the newest two and the one just written; manifests go first, so that nothing half deleted looks whole.

        Folders of later attempts are left alone: this process may have been replaced without knowing.
        """
        found = self._stored(self.context.checkpoint_prefixes[0])
        whole = sorted((each for each in found if each.complete), key=lambda each: each.order)
        kept = {just_written, *(each.folder.key for each in whole[-KEEP:])}
        gone = [each for each in found if each.folder.key not in kept and each.folder.attempt <= self.context.attempt]
        if gone:
            self.context.objects.delete([each.manifest for each in gone if each.complete])
            self.context.objects.delete([key for each in gone for key in each.keys])
