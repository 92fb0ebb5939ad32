"""The API's process: the routers, the one error handler, and the sweeper beside them."""

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool

from app.api import artifacts, datasets, fleet, jobs, logs, models
from app.api.room import Room
from app.api.schemas.logs import LogEnd, LogGap, LogRecord, Ping
from app.door.bodies import FORM, FORM_BYTES, JSON, MIB, YAML, BodyRule
from app.http import About, create_service, run_service
from app.settings import Settings
from app.wiring import Parts

#: A sweep that is under way when the API is stopped may take this long.
SWEEP_ENDS_S = 5.0
DESCRIPTION = "Jobs, datasets, models and workers of Tuneline. Every route also exists below `/api/v1`."
TAGS = [
    {"name": "jobs", "description": "Pipelines that run."},
    {"name": "logs", "description": "The logs of jobs."},
    {"name": "datasets", "description": "Files of rows."},
    {"name": "models", "description": "Versions, and which of them is the champion."},
    {"name": "fleet", "description": "Queues, workers and health."},
    {"name": "sessions", "description": "Browsers that were given the key once."},
]
ABOUT = About(
    "Tuneline",
    DESCRIPTION,
    TAGS,
    {"open_session": "open_session", "close_session": "close_session"},
    more=(LogRecord, LogGap, Ping, LogEnd),
)


def create_app(parts: Parts) -> FastAPI:
    """Return the API over these parts. Every route is also reachable under `/api/v1`."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        stop = threading.Event()
        thread = threading.Thread(target=parts.sweeper.run, args=(stop, parts.settings.sweep_interval_s), daemon=True)
        thread.start()
        yield
        stop.set()
        await run_in_threadpool(thread.join, SWEEP_ENDS_S)

    settings = parts.settings
    bodies = {
        "/jobs": BodyRule(JSON + YAML, settings.json_limit_mb * MIB, "TUNELINE_JSON_LIMIT_MB"),
        "/datasets": BodyRule(FORM, settings.upload_limit_mb * MIB + FORM_BYTES, "TUNELINE_UPLOAD_LIMIT_MB"),
    }
    app = create_service(settings, lifespan, ABOUT, settings.api_host, bodies)
    app.state.parts = parts
    app.state.follower_room = Room(settings.followers_most, "logs are followed", "TUNELINE_FOLLOWERS_MOST")
    app.state.upload_room = Room(settings.uploads_most, "uploads are received", "TUNELINE_UPLOADS_MOST")
    for module in (jobs, artifacts, logs, datasets, models, fleet):
        app.include_router(module.router)
        app.include_router(module.router, prefix="/api/v1", include_in_schema=False)
    return app


def main(settings: Settings, socket_number: int | None = None) -> None:
    """Serve the API until SIGTERM or SIGINT. Parameters, raises: as `run_service`."""
    run_service(create_app, settings, settings.api_host, settings.api_port, "TUNELINE_API", socket_number)
