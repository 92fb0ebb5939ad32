"""How attempts end that do not end by themselves, as errors that a user can act on."""

import signal

from agents.base.errors import OutOfMemory, TimedOut, WorkerLost
from pipelines.plan import PlannedNode


def ran_too_long(node: PlannedNode) -> TimedOut:
    """Return the error of an attempt that ran past its node's timeout."""
    return TimedOut(
        f"'{node.name}' ran longer than its timeout of {node.timeout_s:g} s.",
        cure=f"Raise nodes.{node.name}.timeout, or make its work smaller.",
    )


def process_died(node: str, exit_code: int | None) -> WorkerLost:
    """Return the error of an attempt whose process ended before the agent did."""
    how = f"exit code {exit_code}"
    if exit_code and exit_code < 0:
        number = -exit_code
        how = signal.Signals(number).name if number in {*signal.Signals} else f"signal {number}"
    return WorkerLost(
        f"The process of '{node}' ended by itself ({how}).",
        cure="SIGKILL often means that memory ran out: try a smaller batch_size." if exit_code == -9 else "",
    )


def held_too_much(node: str, most_bytes: int) -> OutOfMemory:
    """Return the error of a light agent that held more memory than it may."""
    return OutOfMemory(
        f"'{node}' held more than the {most_bytes >> 20} MiB of memory that a light agent may hold.",
        cure="Raise TUNELINE_LIGHT_MEMORY_MIB where the host has more, or make its work smaller.",
    )
