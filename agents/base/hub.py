"""Snapshots of a model hub's repositories: weights as safetensors, tokenizers and rows; never code."""

import re
from pathlib import Path

from agents.base.errors import InvalidData, InvalidModel, NotAllowed, TunelineError

#: `org/name@revision`; without a revision the default branch is meant.
REPOSITORY = re.compile(r"(?P<name>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w./-]+))?")


def snapshot(repository: str, revision: str | None, *, rows: bool, patterns: list[str]) -> Path:
    """Return the folder of a repository's files that match `patterns`, from the network or the hub's local cache.

    Raises:
        InvalidData, InvalidModel: no such repository or revision, or neither network nor cache has it.
        NotAllowed: the repository asks for a permission that the hub's token lacks.
    """
    from huggingface_hub import snapshot_download

    try:
        folder = snapshot_download(
            repository, repo_type="dataset" if rows else "model", revision=revision, allow_patterns=patterns
        )
    except Exception as fault:
        # The hub's client raises from several libraries, without a common root.
        raise _explained(fault, f"hf://{repository}" + (f"@{revision}" if revision else ""), rows) from fault
    return Path(folder)


def _explained(fault: Exception, uri: str, rows: bool) -> TunelineError:
    from huggingface_hub import errors

    error = InvalidData if rows else InvalidModel
    if isinstance(fault, errors.GatedRepoError):
        return NotAllowed(f"'{uri}' is gated.", cure="Ask its owner for access and set HF_TOKEN for the workers.")
    if isinstance(fault, errors.RepositoryNotFoundError):
        return error(f"The hub has no '{uri}'.", cure="Check the name; for a private one set HF_TOKEN for the workers.")
    if isinstance(fault, errors.RevisionNotFoundError):
        return error(f"The hub's repository has no such revision: '{uri}'.", cure="Name a branch, a tag or a commit.")
    if isinstance(fault, errors.HFValidationError):
        return error(f"'{uri}' is no name of a repository.", cure="Write hf://org/name@revision.")
    return error(
        f"'{uri}' can't be fetched: it needs network or a local cache.",
        cure="Connect the worker, fill the hub's cache (HF_HOME), or name a folder in a data root.",
    )
