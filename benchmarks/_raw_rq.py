"""The yardstick: the same graphs on RQ alone, with `depends_on`, its JSON serializer off, results on."""

import os
import sys
import time
from typing import Any

import redis
from rq import Queue, SimpleWorker, get_current_job


def node(name: str, run: str) -> dict[str, Any]:
    """Do nothing but read the parents' results, leave a line and hand on about 200 bytes."""
    job = get_current_job()
    parents = [parent.return_value() for parent in job.fetch_dependencies()] if job else []
    started = time.monotonic()
    output = {
        "node": name,
        "uri": f"s3://models/demo/{name}",
        "sha256": "0123456789abcdef" * 4,
        "rows": 12345,
        "metrics": {"accuracy": 0.98, "f1": 0.97},
        "parents": len(parents),
    }
    descriptor = os.open(os.environ["BENCH_TRACE"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, f"{run} {name} {started:.6f} {time.monotonic():.6f}\n".encode())
    os.close(descriptor)
    return output


def run_graph(connection: "redis.Redis", graph: dict[str, list[str]], run: str) -> None:
    """Queue a graph and return once its last nodes have results."""
    queue = Queue("raw", connection=connection)
    jobs: dict[str, Any] = {}
    for name, needs in graph.items():
        jobs[name] = queue.enqueue(node, name, run, depends_on=[jobs[need] for need in needs] or None)
    needed = {need for needs in graph.values() for need in needs}
    for name in graph.keys() - needed:
        while not jobs[name].latest_result(timeout=60):
            pass


if __name__ == "__main__":
    import logging

    logging.getLogger("rq.worker").setLevel(logging.WARNING)
    SimpleWorker(["raw"], connection=redis.Redis.from_url(sys.argv[1])).work(logging_level="WARNING")
