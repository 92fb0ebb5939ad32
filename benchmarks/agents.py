"""An agent that does nothing but leave a line behind: what remains is the engine's own time."""

import os
import time
from typing import ClassVar

from agents.base.agent import Agent, Context
from agents.base.errors import StopRequested
from agents.base.records import Config, Output


class NoopConfig(Config):
    """Nothing to set."""


class NoopOutput(Output):
    """About 200 bytes, as a real node hands on."""

    node: str
    uri: str
    sha256: str
    rows: int
    metrics: dict[str, float]
    parents: int


class NoopAgent(Agent[NoopConfig, NoopOutput]):
    """Reads its inputs, appends a line to `BENCH_TRACE`, hands on a small output."""

    config_type = NoopConfig
    output_type = NoopOutput
    cacheable: ClassVar[bool] = False

    def run(self, config: NoopConfig, context: Context) -> NoopOutput:
        started = time.monotonic()
        output = NoopOutput(
            node=context.node,
            uri=f"s3://models/demo/{context.node}",
            sha256="0123456789abcdef" * 4,
            rows=12345,
            metrics={"accuracy": 0.98, "f1": 0.97},
            parents=len(context.inputs),
        )
        line = f"{context.job_id} {context.node} {started:.6f} {time.monotonic():.6f}\n".encode()
        descriptor = os.open(os.environ["BENCH_TRACE"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(descriptor, line)
        os.close(descriptor)
        return output


class EnduringAgent(Agent[NoopConfig, NoopOutput]):
    """Runs in a process of its own for as long as it may; from the second attempt on it ends at once."""

    config_type = NoopConfig
    output_type = NoopOutput
    heavy: ClassVar[bool] = True
    cacheable: ClassVar[bool] = False

    def run(self, config: NoopConfig, context: Context) -> NoopOutput:
        context.log("enduring", pid=os.getpid(), attempt=context.attempt)
        while context.attempt == 1:
            time.sleep(0.05)
            if kind := context.stop_requested():
                raise StopRequested(kind)
        return NoopOutput(node=context.node, uri="", sha256="", rows=0, metrics={}, parents=0)
