"""All commands of the command line, and how their faults reach a user."""

import importlib
import sys

import typer

from app.cli.lazy import Place, lazy_group

COMMANDS = {
    "up": Place("app.cli.servers:up", "Start everything on this machine."),
    "demo": Place("app.cli.demo:demo", "Train, promote and serve the spam filter on the shipped sample."),
    "run": Place("app.cli.jobs:run", "Submit a spec and watch it run."),
    "jobs": Place("app.cli.jobs:jobs", "List jobs, or show one."),
    "logs": Place("app.cli.jobs:logs", "Print a job's log."),
    "artifacts": Place("app.cli.jobs:artifacts", "List the artifacts of a job, or fetch one."),
    "cancel": Place("app.cli.jobs:cancel", "Cancel a job; a training saves a checkpoint first."),
    "pause": Place("app.cli.jobs:pause", "Pause a job; a training saves a checkpoint first."),
    "resume": Place("app.cli.jobs:resume", "Resume a paused job."),
    "retry": Place("app.cli.jobs:retry", "Run the failed nodes of a job again, as a new job."),
    "predict": Place("app.cli.models:predict", "Ask the serving process."),
    "worker": Place("app.cli.servers:worker", "Start workers on this machine."),
    "api": Place("app.cli.servers:api", "Start the API."),
    "serve": Place("app.cli.servers:serve", "Start serving: answers with what is promoted."),
    "token": Place("app.cli.token:token", "Print the key that callers send on this machine."),
    "doctor": Place("app.cli.servers:doctor", "Check this machine and the servers."),
    "gc": Place("app.cli.servers:gc", "Show what is no longer referred to; remove it with --apply."),
    "models": Place("app.cli.models:app", "Models: list, show, card, download, push, promote."),
    "registry": Place("app.cli.registry:app", "The registry: rebuild its index, or take a bucket over."),
    "datasets": Place("app.cli.datasets:app", "Datasets: list, upload, preview."),
    "batches": Place("app.cli.batches:app", "Batches of texts, answered from a queue."),
}
app = typer.Typer(
    help="Fine-tuning as a pipeline: submit a spec, watch it live, get a gated, promoted, served model.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    # The frames of Rich cost more than all the rest of the help.
    rich_markup_mode=None,
    cls=lazy_group(COMMANDS),
)


@app.callback()
def tuneline() -> None:
    """Fine-tuning as a pipeline: submit a spec, watch it live, get a gated, promoted, served model."""


def run() -> None:
    """Run the command line; every fault is one sentence and a cure, without a traceback."""
    try:
        app(prog_name="tuneline", obj=_prepare)
    except Exception as fault:
        # It knows the errors of libraries that the help of all commands has no use for.
        lines = importlib.import_module("app.cli.faults").lines_of(fault)
        if lines is None:
            raise
        print("\n".join(lines), file=sys.stderr)
        raise SystemExit(1) from None


def _prepare() -> None:
    importlib.import_module("pipelines.engine.process_log").configure_process_log()
