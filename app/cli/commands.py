"""All commands of the command line, and how their faults reach a user."""

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import typer
from pydantic import ValidationError
from redis import RedisError

from agents.base.errors import TunelineError
from app.cli import batches, datasets, jobs, models, registry, servers
from app.cli.demo import demo
from pipelines.engine.process_log import configure_process_log

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

app = typer.Typer(
    help="Fine-tuning as a pipeline: submit a spec, watch it live, get a gated, promoted, served model.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
COMMANDS: tuple[Callable[..., None], ...] = (
    *(servers.up, demo, jobs.run, jobs.jobs, jobs.logs, jobs.artifacts),
    *(jobs.cancel, jobs.pause, jobs.resume, jobs.retry),
    *(models.predict, servers.worker, servers.api, servers.serve, servers.doctor, servers.gc),
)
for command in COMMANDS:
    app.command()(command)
app.add_typer(models.app, name="models")
app.add_typer(registry.app, name="registry")
app.add_typer(datasets.app, name="datasets")
app.add_typer(batches.app, name="batches")


def run() -> None:
    """Run the command line; every fault is one sentence and a cure, without a traceback."""
    configure_process_log()
    try:
        app(prog_name="tuneline")
    except TunelineError as fault:
        _end(str(fault), fault.details)
    except ValidationError as fault:
        _end(f"The settings have faults: {'; '.join(map(_setting_fault, fault.errors()))}.")
    except OSError as fault:
        if fault.filename is None:
            raise
        _end(f"'{fault.filename}': {fault.strerror}.")
    except RedisError as fault:
        _end(f"Redis doesn't answer ({type(fault).__name__}). Start it, or check TUNELINE_REDIS_URL.")


def _setting_fault(found: "ErrorDetails") -> str:
    message = found["msg"].removeprefix("Value error, ")
    return f"TUNELINE_{str(found['loc'][0]).upper()}: {message}" if found["loc"] else message


def _end(message: str, details: list[dict[str, object]] | None = None) -> None:
    # A spec's faults are one to a line; the sentence before them would only repeat them.
    if details and all("path" in detail for detail in details):
        print("error: the request has faults:", file=sys.stderr)
        for detail in details:
            print(f"  {detail['path'] or 'spec'}: {detail['message']}", file=sys.stderr)
    else:
        print(f"error: {message}", file=sys.stderr)
    raise SystemExit(1)
