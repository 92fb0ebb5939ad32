"""Commands about jobs: run, jobs, logs, artifacts, cancel, pause, resume, retry."""

import json
import re
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Column, Table
from rich.text import Text

from agents.base.errors import InvalidData, InvalidModel, InvalidRequest, InvalidSpec
from agents.metrics.catalogue import headline
from agents.metrics.compared import Compared
from app.cli.common import AsJson, ago, cell, client, console, file_name, print_json, print_line, print_table, say
from app.cli.live import STYLES, JobDisplay, show
from app.cli.options import (
    Encoding,
    Format,
    LabelColumn,
    Minimum,
    ModelName,
    Param,
    RowShape,
    TextColumn,
    given_params,
)
from app.client import Client
from pipelines import shipped_specs
from pipelines.spec_text import read_document

#: A parameter that a fault names with its cure.
NAMED_PARAM = re.compile(r"`-p '?([\w.-]+)=")
JobId = Annotated[str, typer.Argument(help="The job's id.")]


def run(
    spec: Annotated[str, typer.Argument(help=f"A spec's file, or a shipped one: {', '.join(shipped_specs())}.")],
    param: Param = None,
    text_column: TextColumn = None,
    label_column: LabelColumn = None,
    format_: Format = None,
    encoding: Encoding = None,
    shape: RowShape = None,
    model_name: ModelName = None,
    minimum: Minimum = None,
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Do not watch; print the job's id.")] = False,
    idempotency_key: Annotated[str | None, typer.Option(help="The same key starts the same job only once.")] = None,
    as_json: AsJson = False,
) -> None:
    """Submit a spec and watch it run. Ctrl-C stops watching; the job goes on.

    The options from --text-column to --minimum are parameters that every shipped spec has: --minimum 0.9 is the same
    as -p minimum=0.9.
    """
    options = {"text_column": text_column, "label_column": label_column, "format": format_, "encoding": encoding}
    options |= {"shape": shape, "model_name": model_name}
    params = given_params(param, {**options, "minimum": minimum})
    with client() as api:
        job = api.submit(read_spec(spec), params, idempotency_key)
        if detach:
            print_json(job) if as_json else print_line(job["id"])
            return
        try:
            ended = watch(api, job, as_json=as_json)
        except KeyboardInterrupt:
            console.print()
            print_line(f"The job goes on. Watch it: tuneline logs -f {job['id']}")
            raise
    if ended["status"] != "completed":
        raise typer.Exit(1)


def watch(api: Client, job: dict[str, Any], *, as_json: bool = False, lasting: bool = True) -> dict[str, Any]:
    """Show a job until it has ended, then return it. `lasting`: its stack goes on running after it."""
    if as_json:
        for record in api.follow(job["id"], on_notice=say):
            print_json(record)
        ended = api.job(job["id"])
        print_json(ended)
        return ended
    print_line(f"Job {job['id']} ({job['name']})")
    if len(job["nodes"]) < job["nodes_total"]:
        job = api.job(job["id"])
    _print_model_name(job)
    show(console, JobDisplay(job["nodes"]), api.follow(job["id"], on_notice=say))
    ended = api.job(job["id"])
    print_result(ended)
    if lasting:
        _print_next(ended)
    return ended


def _print_model_name(job: dict[str, Any]) -> None:
    """Say what the model will be called where its name follows the data."""
    for node in job["nodes"].values():
        name, source = node["config"].get("model_name"), str(node["sources"].get("model_name"))
        if node["agent"] == "export" and source.startswith("nodes.") and name != job["name"]:
            print_line(f"The model will be called {name}, after the data; another name: -p model_name=NAME")


def print_result(job: dict[str, Any]) -> None:
    """Print how a job ended, and its results."""
    print_line(f"Job {job['status']}.", STYLES.get(job["status"], ""))
    _print_outcome(job)


def _print_outcome(job: dict[str, Any]) -> None:
    """Print errors, or metrics, the winner of a sweep, verdict and version."""
    for name, node in job["nodes"].items():
        if node["status"] == "failed":
            print_line(f"  {name}: {node['error']['message']}", "red")
        output = node["output"] or {}
        if node["agent"] == "evaluation" and output:
            _print_choice(output)
            metrics = headline(output["metrics"], output.get("metric"))
            print_line("  metrics   " + "  ".join(f"{key} {value:.4f}" for key, value in metrics.items()))
            reasons = " ".join(output["reasons"])
            print_line(f"  verdict   {output['verdict']}: {reasons}")
            if not any(other["agent"] == "comparison" for other in job["nodes"].values()) and not output.get(
                "compared"
            ):
                print_line("  compared  with no baseline: the spec has no comparison")
        if node["agent"] == "comparison" and output:
            for baseline, found in output["compared"].items():
                print_line(f"  compared  {Compared.model_validate(found).sentence(baseline, output['metric'])}")
        if node["agent"] == "export" and output:
            model, version = output["model_name"], output["version"]
            print_line(f"  model     {model} v{version}: {', '.join(output['formats'])}")


def _print_next(job: dict[str, Any]) -> None:
    """Print the commands to run next."""
    for node in job["nodes"].values():
        if node["agent"] == "export" and node["output"]:
            model, version = node["output"]["model_name"], node["output"]["version"]
            print_line(f"  download  tuneline models download {model} --version {version}")
            if node["output"]["verdict"] == "PROMOTE" and _has_labels(job):
                print_line(f"  ask       tuneline predict {model} 'a text'")
    if job["status"] == "failed":
        _print_retry(job)


def _has_labels(job: dict[str, Any]) -> bool:
    judged = (node["output"] for node in job["nodes"].values() if node["agent"] == "evaluation" and node["output"])
    return any(output["training"]["labels"] for output in judged)


def _print_retry(job: dict[str, Any]) -> None:
    """Print which retry helps: with the cause gone, or with other values."""
    again = f"tuneline retry {job['id']}"
    faults = [node["error"] for node in job["nodes"].values() if node["status"] == "failed" and node["error"]]
    kinds = {fault["error"] for fault in faults}
    if kinds != {InvalidSpec.code()}:
        print_line(f"  Fix the {'rows' if kinds == {InvalidData.code()} else 'cause'}, then: {again}")
    if kinds & {InvalidSpec.code(), InvalidData.code(), InvalidModel.code()}:
        named = dict.fromkeys(name for fault in faults for name in NAMED_PARAM.findall(fault["message"]))
        values = " ".join(f"-p {name}=..." for name in named) or "-p NAME=VALUE"
        print_line(f"  Or with other values: {again} {values}; with another spec: {again} --spec FILE")


def _print_choice(output: dict[str, Any]) -> None:
    """Print the candidate trainings, the best first; nothing where there was only one."""
    figure, candidates = output.get("chosen_by"), output.get("candidates") or {}
    if not figure:
        return
    print_line(f"  chosen    {output['training_node']} by {figure}", highlight=False)
    ranked = sorted(candidates.items(), key=lambda one: one[1], reverse=figure != "validation_loss")
    for name, score in sorted(ranked, key=lambda one: one[0] != output["training_node"]):
        print_line(f"            {score:.4f}  {name}", highlight=False)
    for name, why in (output.get("diverged") or {}).items():
        print_line(f"            failed  {name}: {why}", highlight=False)


def jobs(
    job_id: Annotated[str | None, typer.Argument(help="Show this job, whole.")] = None,
    limit: Annotated[int, typer.Option(help="How many to list, the newest first.")] = 20,
    as_json: AsJson = False,
) -> None:
    """List jobs, or show one."""
    with client() as api:
        if job_id:
            job = api.job(job_id)
            print_json(job) if as_json else _print_job(job)
            return
        found = api.jobs(limit)
    if as_json:
        print_json(found)
        return
    table = Table("job", "name", "status", "nodes", "age", box=None, header_style="dim")
    for job in found:
        nodes = f"{job['nodes_done']}/{job['nodes_total']}"
        status = Text(job["status"], style=STYLES.get(job["status"], "default"))
        table.add_row(job["id"], cell(job["name"]), status, nodes, ago(time.time() - job["created_at"]))
    print_table(table) if found else console.print("No jobs yet. Start one: tuneline run spam")


def _print_job(job: dict[str, Any]) -> None:
    print_line(f"{job['id']}  {job['name']}  {job['status']}")
    node_column = Column("node", overflow="fold")
    table = Table(node_column, "status", "attempt", "seconds", "cache", "why", box=None, header_style="dim")
    for name, node in job["nodes"].items():
        why = (node["error"] or {}).get("message") if node["status"] == "failed" else node["waits_for"]
        cache = node["cache"] or {}
        seconds = f"{node['seconds']:.1f}" if node["seconds"] is not None else ""
        reason = f"{'hit' if cache.get('hit') else 'miss'}: {cache['reason']}" if cache else ""
        cells = (node["status"], str(node["attempt"]), seconds, reason, why or "")
        table.add_row(cell(name), *map(cell, cells))
    # On a terminal the reasons are wrapped; elsewhere a node is a line.
    console.print(table) if console.is_terminal else print_table(table)
    _print_outcome(job)
    _print_next(job)


def logs(
    job_id: JobId,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Continue until the job has ended.")] = False,
    node: Annotated[str | None, typer.Option(help="Only this node's records.")] = None,
    level: Annotated[str | None, typer.Option(help="At least this level: debug, info, warning, error.")] = None,
    after: Annotated[str, typer.Option(help="Only records after this id.")] = "0-0",
    as_json: AsJson = False,
) -> None:
    """Print a job's log."""
    filters = {key: value for key, value in (("node", node), ("level", level)) if value}
    with client() as api:
        if follow:
            # The API says so at once where it is away; following would wait for it to come back.
            api.job(job_id)
        found = api.follow(job_id, after, say, **filters) if follow else api.logs(job_id, after, **filters)
        for record in found:
            print_json(record) if as_json else _print_record(record)


def _print_record(record: dict[str, Any]) -> None:
    fields = " ".join(f"{key}={json.dumps(value)}" for key, value in record["fields"].items())
    style = {"warning": "yellow", "error": "red"}.get(record["level"], "")
    line = f"{_clock(record['at'])} {record['level']:<7} {record['node'] or '-':<14} {record['event']} {fields}"
    print_line(line, style, highlight=False)


def _clock(at: float) -> str:
    try:
        return time.strftime("%H:%M:%S", time.localtime(at))
    except (OverflowError, ValueError, OSError):
        # An entry that another program wrote may have any time.
        return "--:--:--"


def artifacts(
    job_id: JobId,
    path: Annotated[
        str | None, typer.Argument(metavar="NAME", help="Fetch this one: evaluation/pictures/roc.png.")
    ] = None,
    to: Annotated[Path | None, typer.Option(help="File to write; default: the last part of the name.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the artifacts of a job (reports, pictures, rows, weights), or fetch one."""
    with client() as api:
        if path:
            node, _, rest = path.partition("/")
            found = api.artifact(job_id, node, rest, to or _file_of(path))
            print_line(str(found))
            return
        listed = api.artifacts(job_id)
    if as_json:
        print_json(listed)
        return
    table = Table("artifact", "bytes", "media type", box=None, header_style="dim")
    for artifact in listed:
        place = f"{artifact['node']}/{artifact['name']}"
        table.add_row(cell(place), f"{artifact['size_bytes']:,}", cell(artifact["media_type"]))
    print_table(table)


def _file_of(artifact: str) -> Path:
    """Return where an artifact is written if nothing else is said: its last part, in this folder."""
    return Path(file_name(artifact.rpartition("/")[2]))


def cancel(job_id: JobId) -> None:
    """Cancel a job; a training saves a checkpoint first."""
    with client() as api:
        api.cancel(job_id)
    print_line(f"{job_id} is being cancelled.")


def pause(job_id: JobId) -> None:
    """Pause a job; a training saves a checkpoint first."""
    with client() as api:
        api.pause(job_id)
    print_line(f"{job_id} is being paused. Resume it: tuneline resume {job_id}")


def resume(job_id: JobId) -> None:
    """Resume a paused job."""
    with client() as api:
        api.resume(job_id)
    print_line(f"{job_id} is resumed. Watch it: tuneline logs -f {job_id}")


def retry(
    job_id: JobId,
    param: Param = None,
    spec: Annotated[str | None, typer.Option(help="Another spec: a file, or the name of a shipped one.")] = None,
    as_json: AsJson = False,
) -> None:
    """Run the failed nodes of a job again, as a new job that takes over its finished ones.

    With other values (-p) or another spec, it takes over what these leave as it is; other values of the first run stay.
    """
    with client() as api:
        job = api.retry(job_id, given_params(param, {}) or None, read_spec(spec) if spec else None)
        if watch(api, job, as_json=as_json)["status"] != "completed":
            raise typer.Exit(1)


def read_spec(spec: str) -> Any:
    """Return a spec from a file or of a shipped name.

    Raises:
        InvalidRequest: there is neither, or it is neither JSON nor YAML.
    """
    shipped = shipped_specs()
    path = shipped.get(spec) or Path(spec)
    try:
        return read_document(path.read_bytes(), f"'{spec}'")
    except OSError as fault:
        raise InvalidRequest(
            f"There is no spec '{spec}' ({fault.strerror}).", cure=f"Name a file, or one of: {', '.join(shipped)}."
        ) from fault
