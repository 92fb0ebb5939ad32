"""The serving process: its application over what it holds, and its start."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from redis.asyncio import Redis

from agents.base.object_store import ObjectStore
from agents.base.system import refuse_foreign_kernels
from app.http import About, client_gone, create_service, run_service
from app.serving.process import Serving
from app.serving.routes.awaited import ClientGone
from app.serving.routes.batches import add_batch_routes
from app.serving.routes.convert import add_convert_route
from app.serving.routes.openai.errors import refuse
from app.serving.routes.openai.events import EVENT_MODELS
from app.serving.routes.openai.routes import add_openai_routes
from app.serving.routes.predictions import add_prediction_routes
from app.serving.routes.watching import add_watching_routes
from app.serving.versions.loading import Load, load_format
from app.serving.versions.reconcile import LOOK_EVERY_S
from app.serving.versions.served import Versions
from app.settings import Settings
from app.wiring import Parts

DESCRIPTION = "Answers of the champion models. Below `/v1` it speaks OpenAI's API."
TAGS = [
    {"name": "predictions", "description": "Answers at once."},
    {"name": "batches", "description": "Answers for many texts, fetched later."},
    {"name": "openai", "description": "Decoders, for clients of OpenAI's API."},
    {"name": "watching", "description": "What is served, and how it performs."},
    {"name": "sessions", "description": "Browsers that were given the key once."},
]
ABOUT = About(
    "Tuneline serving",
    DESCRIPTION,
    TAGS,
    {"open_session": "open_serving_session", "close_session": "close_serving_session"},
    common=(),
    more=EVENT_MODELS,
)


def create_app(
    versions: Versions,
    objects: ObjectStore,
    settings: Settings,
    load: Load = load_format,
    look_every_s: float = LOOK_EVERY_S,
    redis: Redis | None = None,
) -> FastAPI:
    """Return serving over a registry and an object store.

    `load` makes a model of a folder; `look_every_s`: how often the aliases are read; `redis`: where answers
    are cached.

    Raises:
        Unavailable: the history's database can't be opened.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        serving.start()
        yield
        await serving.close()

    serving = Serving(versions, objects, settings, load, look_every_s, redis)
    app = create_service(settings, lifespan, ABOUT, settings.serving_host, refuse=refuse)
    app.state.serving = serving
    app.add_exception_handler(ClientGone, client_gone)
    add_prediction_routes(app, serving.predictions)
    add_convert_route(app, serving.answers, settings.convert_model)
    add_openai_routes(app, serving.answers)
    add_watching_routes(app, serving)
    return app


def create_serving(parts: Parts) -> FastAPI:
    """Return serving with all its routes, over these parts.

    Raises:
        Unavailable: the history's database can't be opened.
    """
    app = create_app(parts.registry, parts.objects, parts.settings, redis=parts.answer_connection)
    add_batch_routes(app, parts)
    return app


def main(settings: Settings, socket_number: int | None = None) -> None:
    """Serve what is promoted until SIGTERM or SIGINT. Parameters, raises: as `run_service`."""
    refuse_foreign_kernels()
    run_service(
        create_serving, settings, settings.serving_host, settings.serving_port, "TUNELINE_SERVING", socket_number
    )
