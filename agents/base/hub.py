"""Snapshots of a model hub's repositories: weights as safetensors, tokenizers and rows; never code."""

from pathlib import Path

from huggingface_hub import HfApi, constants, errors, snapshot_download
from huggingface_hub.file_download import repo_folder_name

from agents.base.errors import InvalidData, InvalidModel, InvalidRequest, NotAllowed, TunelineError, Unavailable
from agents.base.source_uri import Repository


def snapshot(repository: Repository, *, rows: bool, patterns: list[str]) -> Path:
    """Return the folder of a repository's files that match `patterns`, from the network or the hub's local cache.

    Raises:
        InvalidData, InvalidModel: no such repository or revision, or neither network nor cache has it.
        NotAllowed: the repository asks for a permission that the hub's token lacks, or the cache leads out of itself.
    """
    name, revision = repository
    kind, uri = "dataset" if rows else "model", f"hf://{name}" + (f"@{revision}" if revision else "")
    try:
        folder = snapshot_download(name, repo_type=kind, revision=revision, allow_patterns=patterns)
    except Exception as fault:
        # The hub's client raises from several libraries, without a common root.
        raise _explained(fault, uri, rows) from fault
    home = Path(constants.HF_HUB_CACHE, repo_folder_name(repo_id=name, repo_type=kind)).resolve() / "snapshots"
    found = Path(folder).resolve()
    if found.parent != home:
        raise NotAllowed(f"'{uri}' leads out of the hub's cache.", cure=f"Remove {home.parent}, and fetch it again.")
    return found


def publish(folder: Path, repository: str, revision: str | None, *, message: str, public: bool) -> str:
    """Upload a folder as one commit to a repository of models, which is made where there is none; return its URL.

    A new repository is private unless `public`; one that is there stays what it is.

    Raises:
        InvalidRequest: not the name of a repository, or files that the hub refuses.
        NotAllowed: no token (HF_TOKEN), or one that may not write there.
        Unavailable: the hub doesn't answer.
    """
    api = HfApi()
    try:
        api.create_repo(repository, private=not public, exist_ok=True)
        commit = api.upload_folder(repo_id=repository, folder_path=folder, revision=revision, commit_message=message)
    except Exception as fault:
        raise _unpublished(fault, f"hf://{repository}") from fault
    return str(commit.commit_url)


def _unpublished(fault: Exception, uri: str) -> TunelineError:
    if isinstance(fault, errors.HFValidationError):
        return InvalidRequest(f"'{uri}' is not the name of a repository.", cure="Write hf://org/name.")
    status = fault.response.status_code if isinstance(fault, errors.HfHubHTTPError) else None
    if isinstance(fault, errors.LocalTokenNotFoundError) or status in {401, 403, 404}:
        return NotAllowed(f"The hub does not let you write to '{uri}'.", cure="Set HF_TOKEN to a token that may.")
    if status is not None and 400 <= status < 500 and status != 429:
        said = " ".join(str(fault).split())[:300]
        return InvalidRequest(f"The hub refused what was sent to '{uri}': {said}.")
    return Unavailable(
        f"The hub doesn't answer ({type(fault).__name__}): nothing may be at '{uri}' yet.", cure="Push again later."
    )


def _explained(fault: Exception, uri: str, rows: bool) -> TunelineError:
    error = InvalidData if rows else InvalidModel
    if isinstance(fault, errors.GatedRepoError):
        return NotAllowed(f"'{uri}' is gated.", cure="Ask its owner for access and set HF_TOKEN for the workers.")
    if isinstance(fault, errors.RepositoryNotFoundError):
        return error(f"The hub has no '{uri}'.", cure="Check the name; for a private one set HF_TOKEN for the workers.")
    if isinstance(fault, errors.RevisionNotFoundError):
        return error(f"The hub's repository has no such revision: '{uri}'.", cure="Name a branch, a tag or a commit.")
    if isinstance(fault, errors.HFValidationError):
        return error(f"'{uri}' is not the name of a repository.", cure="Write hf://org/name@revision.")
    return error(
        f"'{uri}' can't be fetched: it needs network or a local cache.",
        cure="Connect the worker, fill the hub's cache (HF_HOME), or name a folder in a data root.",
    )
