"""The API's process: the routers, the one error handler, and the sweeper beside them."""

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool

from app.api import artifacts, datasets, fleet, jobs, logs, models
from app.api.schemas.logs import LogEnd, LogGap, LogRecord, Ping
from app.http import create_service, run_service
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
]


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

    app = create_service(
        parts.settings,
        lifespan,
        title="Tuneline",
        description=DESCRIPTION,
        tags=TAGS,
        more=(LogRecord, LogGap, Ping, LogEnd),
    )
    app.state.parts = parts
    for module in (jobs, artifacts, logs, datasets, models, fleet):
        app.include_router(module.router)
        app.include_router(module.router, prefix="/api/v1", include_in_schema=False)
    return app


def main(settings: Settings, socket_number: int | None = None) -> None:
    """Serve the API until SIGTERM or SIGINT. Parameters, raises: as `run_service`."""
    run_service(create_app, settings, settings.api_host, settings.api_port, "TUNELINE_API", socket_number)
