"""Commands that start parts of Tuneline, and the doctor."""

import signal
import threading
from contextlib import nullcontext, suppress
from queue import SimpleQueue
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from agents import QUEUES
from agents.base.printable import one_line
from app.cli.common import AsJson, cell, console, print_json
from app.settings import Settings
from app.wiring import build_parts

#: How a finding of the doctor is shown.
MARKS = {True: Text("ok", "green"), False: Text("fault", "red"), None: Text("note", "yellow")}


def up() -> None:
    """Start everything on this machine: servers, API, workers, serving. Ctrl-C stops it all in order."""
    stop, ready = stop_on_signals(), threading.Event()
    from app.processes.stack import Stack

    settings = Settings()

    def announce() -> None:
        ready.wait()
        if not stop.is_set():
            tell(f"API      http://{settings.api_host}:{settings.api_port}  (docs at /docs)")
            tell(f"Serving  http://{settings.serving_host}:{settings.serving_port}")
            key = "TUNELINE_API_KEY" if settings.api_key else "tuneline token"
            tell(f"Key      {key}  (commands here find it by themselves)")
            tell("Workers  " + ", ".join(f"{queue} {count}" for queue, count in settings.workers.items()))
            tell("Next     tuneline run spam     (Ctrl-C here stops everything; jobs go on at the next start)")

    def announce_the_end() -> None:
        stop.wait()
        tell(f"Stopping; a node that runs may take {settings.stop_grace_s:.0f} s to save what it has ...")

    for say in (announce, announce_the_end):
        threading.Thread(target=say, daemon=True).start()
    tell(f"Starting, with state in {settings.state_dir.resolve()} ...")
    Stack(settings, tell).run(stop, ready)
    tell("Stopped.")


def tell(sentence: str) -> None:
    """Print a sentence on a line; a terminal that was closed meanwhile is no reason to end."""
    with suppress(OSError):
        console.print(sentence, soft_wrap=True, markup=False)


#: The socket that `tuneline up` listens on and hands down.
Socket = Annotated[int | None, typer.Option("--socket", hidden=True, min=3)]


def api(socket_number: Socket = None) -> None:
    """Start the API."""
    from app.api.main import main

    main(Settings(), socket_number)


def worker(
    queue: Annotated[
        list[str] | None, typer.Option(help="A queue to work on; may be given more than once. Default: all.")
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="Worker processes for each queue.")] = 1,
) -> None:
    """Start workers on this machine. SIGTERM lets light nodes end and hands heavy ones back."""
    from app.processes.fleet import run_fleet

    settings = Settings()
    run_fleet(settings, build_parts(settings), dict.fromkeys(queue or QUEUES, count), stop_on_signals())


def serve(socket_number: Socket = None) -> None:
    """Start serving: answers with what is promoted."""
    from app.serving.main import main

    main(Settings(), socket_number)


def doctor(as_json: AsJson = False) -> None:
    """Check this machine and the servers, and say how to fix each fault."""
    from app.doctor import diagnose

    findings = diagnose(Settings())
    if as_json:
        print_json([finding.model_dump() for finding in findings])
    else:
        table = Table("", "what", "found", box=None, show_header=False)
        for finding in findings:
            found = cell(finding.found)
            if finding.cure and finding.ok is not True:
                found.append("\n").append(one_line(finding.cure), "bold")
            table.add_row(MARKS[finding.ok], finding.name, found)
        console.print(table)
    if any(finding.ok is False for finding in findings):
        raise typer.Exit(1)


def gc(
    apply: Annotated[bool, typer.Option("--apply", help="Remove it; otherwise it is only shown.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show what no job, version or cache entry refers to any more; remove it with --apply."""
    parts = build_parts(Settings())
    parts.check()
    with console.status("Looking through Redis and the object store ...") if not as_json else nullcontext():
        rubbish = parts.housekeeper.find()
        if apply:
            parts.housekeeper.remove(rubbish)
    kinds = {"checkpoints": rubbish.checkpoints, "archived logs": rubbish.archived_logs, "artifacts": rubbish.artifacts}
    rows: dict[str, tuple[int, int]] = {
        "jobs to forget": (len(rubbish.jobs), 0),
        "live logs of archived jobs": (len(rubbish.live_logs), 0),
        "entries in Redis that nothing owns": (len(rubbish.leftovers), 0),
        **{name: (len(entries), sum(entry.size_bytes for entry in entries)) for name, entries in kinds.items()},
    }
    if as_json:
        named = {name.replace(" ", "_"): {"count": n, "size_bytes": size} for name, (n, size) in rows.items()}
        print_json({"removed": apply, **named})
        return
    table = Table("what", "count", "size", box=None)
    for name, (count, size) in rows.items():
        table.add_row(name, f"{count:,}", f"{size / 1e6:,.1f} MB" if size else "")
    console.print(table)
    console.print("Removed." if apply else "Nothing was removed: `tuneline gc --apply` does it.")


def stop_on_signals() -> threading.Event:
    """Return an event that SIGTERM, SIGINT and the end of the terminal set."""
    stop = threading.Event()
    # A handler runs in the main thread, which may hold the event's lock at that moment: another thread sets it.
    received: SimpleQueue[int] = SimpleQueue()

    def pass_on() -> None:
        received.get()
        stop.set()

    threading.Thread(target=pass_on, name="signals", daemon=True).start()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        # `nohup` has it ignored.
        if signal.getsignal(number) != signal.SIG_IGN or number != signal.SIGHUP:
            signal.signal(number, lambda number, _: received.put(number))
    return stop
