"""What `tuneline up` writes down for the other processes of its host: addresses and secrets of its embedded servers."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agents.base.errors import InvalidRequest, NotAllowed, Unavailable
from app.settings import Settings

STACK_KEYS = {"redis_url", "s3_endpoint_url", "s3_access_key", "s3_secret_key"}


def stack_file(settings: Settings) -> Path:
    """Return where `tuneline up` writes down the addresses of its embedded servers, and the secrets they ask for."""
    return settings.state_dir / "stack.json"


def stack(settings: Settings) -> Mapping[str, Any]:
    """Return the addresses and secrets of the embedded servers.

    Raises:
        Unavailable: they have not been started here, or by a release that kept no secrets.
        NotAllowed: another user has started them.
    """
    file = stack_file(settings)
    try:
        found = json.loads(file.read_text())
    except FileNotFoundError:
        raise Unavailable(
            f"No embedded stack runs here: {file} does not exist.",
            cure="Start one with `tuneline up`, or set TUNELINE_REDIS_URL and TUNELINE_S3_ENDPOINT_URL.",
        ) from None
    except PermissionError:
        raise NotAllowed(
            f"The embedded stack in {settings.state_dir} is another user's: {file} can't be read.",
            cure="Run this as that user, or set TUNELINE_STATE_DIR to a folder of your own.",
        ) from None
    except ValueError:
        found = None
    if not isinstance(found, dict) or not found.keys() >= STACK_KEYS:
        raise Unavailable(f"{file} is damaged, or of an older release.", cure="Stop `tuneline up` and start it again.")
    return found


def store_keys(settings: Settings) -> tuple[str, str]:
    """Return the access key and the secret key of the object store: those of the settings, or of the embedded one.

    Two empty texts, where the settings name an object store and no keys: it is asked without any.

    Raises:
        InvalidRequest: the settings have one of the two for an object store that they name.
        Unavailable, NotAllowed: as `stack`.
    """
    access_key, secret_key = settings.s3_access_key or "", settings.s3_secret_key
    secret = secret_key.get_secret_value() if secret_key else ""
    if access_key and secret:
        return access_key, secret
    if settings.s3_endpoint_url:
        if access_key or secret:
            missing = "TUNELINE_S3_SECRET_KEY" if access_key else "TUNELINE_S3_ACCESS_KEY"
            raise InvalidRequest("The object store has one of its two keys.", cure=f"Set {missing} too.")
        return "", ""
    found = stack(settings)
    return found["s3_access_key"], found["s3_secret_key"]
