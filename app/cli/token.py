"""`tuneline token`: the key of this machine's services, for programs that are not ours."""

from typing import Annotated

import typer

from agents.base.errors import Conflict, NotFound
from app.keys import new_token, read_token, token_path
from app.settings import Settings


def token(
    new: Annotated[bool, typer.Option("--new", help="Make another one; the old one ends with the next start.")] = False,
) -> None:
    """Print the key that callers send on this machine: curl -H "Authorization: Bearer $(tuneline token)" ..."""
    settings = Settings()
    if settings.api_key is None:
        print(new_token(settings.state_dir) if new else _present(settings))
    elif new:
        raise Conflict(
            "TUNELINE_API_KEY is set, and services ask for that instead of a token.",
            cure="Set it to another: `openssl rand -hex 32` prints a good one.",
        )
    else:
        print(settings.api_key.get_secret_value())


def _present(settings: Settings) -> str:
    found = read_token(settings.state_dir)
    if found is None:
        raise NotFound(
            f"There is no token in {token_path(settings.state_dir)}.",
            cure="Start the services first (`tuneline up`), or name their folder by TUNELINE_STATE_DIR.",
        )
    return found
