"""Named dependencies of the routes."""

from typing import Annotated

from fastapi import Depends, Request

from app.wiring import Parts


def _parts(request: Request) -> Parts:
    parts: Parts = request.app.state.parts
    return parts


PartsDep = Annotated[Parts, Depends(_parts)]
