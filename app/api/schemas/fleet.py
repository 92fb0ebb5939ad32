"""Bodies of queues, workers and health."""

from typing import Annotated, Literal

from pydantic import Field

from app.schemas import AnyWhole, Body, View

Check = Literal["redis", "object_store"]


class WorkersBody(Body):
    """How many workers a queue is to have."""

    workers: Annotated[int, AnyWhole] = Field(ge=0, le=256, description="Worker processes.", examples=[2])


class QueueView(View):
    """A queue."""

    name: str = Field(description="The queue's name.", examples=["training"])
    messages: int = Field(description="Messages that wait.", examples=[0])
    workers: int = Field(description="Workers that listen.", examples=[1])
    workers_wanted: int | None = Field(description="Workers wanted; null where nobody has set a number.", examples=[2])


class QueuesView(View):
    """All queues."""

    queues: list[QueueView] = Field(description="The queues: Tuneline's own first.")


class QueueWanted(View):
    """A queue's number of workers as it was just set."""

    name: str = Field(description="The queue's name.", examples=["training"])
    workers: int = Field(description="Workers wanted.", examples=[2])


class WorkerView(View):
    """A living worker process."""

    name: str = Field(description="The worker's name.", examples=["gpu-1-4711"])
    queues: list[str] = Field(description="Queues that it listens on.", examples=[["training"]])
    host: str | None = Field(description="The machine it runs on.", examples=["gpu-1"])
    pid: int | None = Field(description="Its process id there.", examples=[4711])
    state: Literal["busy", "idle"] = Field(description="Whether it runs an attempt.")
    runs: list[str] = Field(description="What it runs, as `job/node`.", examples=[["job_01JY3Z9S2M/training"]])


class ReservationView(View):
    """Memory of a device that an attempt has reserved."""

    run: str = Field(description="The attempt's node, as `job/node`.", examples=["job_01JY3Z9S2M/training"])
    attempt: int = Field(description="The attempt's number.", examples=[1])
    mib: int = Field(description="Memory that is reserved, in MiB.", examples=[8192])


class DeviceView(View):
    """A device of a host, such as a GPU."""

    index: int = Field(description="Its number on the host.", examples=[0])
    uuid: str = Field(description="Its id, the same in every container.")
    name: str = Field(description="Its model.", examples=["NVIDIA L4"])
    total_mib: int = Field(description="All its memory, in MiB.", examples=[23034])
    free_mib: int = Field(description="Memory that was free at the host's last look, in MiB.", examples=[22000])
    reserved_mib: int = Field(description="Memory that attempts have reserved, in MiB.", examples=[8192])
    reservations: list[ReservationView] = Field(description="Who has reserved it.")


class HostView(View):
    """A machine with workers and devices."""

    host: str = Field(description="The machine's name.", examples=["gpu-1"])
    devices: list[DeviceView] = Field(description="Its devices.")


class FleetView(View):
    """All workers, and the devices of their hosts."""

    workers: list[WorkerView] = Field(description="The living workers.")
    hosts: list[HostView] = Field(description="Hosts that have devices to lend.")


class SetAsideView(View):
    """An entry that a sweep could not handle, or a message in a queue that is not Tuneline's."""

    source: str = Field(description="Where it was.", examples=["tuneline:leases"])
    entry: str = Field(description="The entry as it was kept there.")
    reason: str = Field(description="Why it could not be handled.")
    at: float = Field(description="When that was, in seconds since 1970.", examples=[1767225600.25])


class HealthView(View):
    """Whether the servers that Tuneline needs answer, and what sweeps could not handle."""

    status: Literal["ok", "degraded", "unavailable"] = Field(
        description="`unavailable`: one of the checks failed. `degraded`: there is something in `warnings` or "
        "`set_aside`."
    )
    version: str = Field(description="Tuneline's version.", examples=["0.1.0"])
    checks: dict[Check, str] = Field(
        description="Server -> `ok`, or what is wrong with it.", examples=[{"redis": "ok", "object_store": "ok"}]
    )
    warnings: list[str] = Field(
        [], description="What else is wrong, and what helps: sweeps that fail, or data that Redis lost."
    )
    set_aside: list[SetAsideView] = Field([], description="What could not be handled, the oldest first.")
