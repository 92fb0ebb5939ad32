"""Valkey and S3 for one benchmark, named in the environment so that its processes find them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.processes.embedded import start_s3, start_valkey
from app.settings import Settings
from app.wiring import Parts, build_parts
from benchmarks._key import KEY

ROOT = Path(__file__).parent.parent


@contextmanager
def servers(folder: Path, agents: dict[str, str], *, append_only: bool = True) -> Iterator[Parts]:
    """Start both servers in a folder and yield parts over them; `agents`: name -> module:Class."""
    valkey = start_valkey(folder / "valkey")
    s3 = start_s3(folder / "s3", "bench-key", "bench-secret")
    os.environ.update(
        {
            "TUNELINE_REDIS_URL": f"redis://127.0.0.1:{valkey.port}",
            "TUNELINE_S3_ENDPOINT_URL": f"http://127.0.0.1:{s3.port}",
            "TUNELINE_S3_ACCESS_KEY": "bench-key",
            "TUNELINE_S3_SECRET_KEY": "bench-secret",
            "TUNELINE_API_KEY": KEY,
            "TUNELINE_STATE_DIR": str(folder / "state"),
            "TUNELINE_AGENTS": ",".join(f"{name}={path}" for name, path in agents.items()),
            "PYTHONPATH": str(ROOT),
        }
    )
    parts = build_parts(Settings(_env_file=None))
    parts.check()
    parts.connection.config_set("appendonly", "yes" if append_only else "no")
    try:
        yield parts
    finally:
        parts.connection.close()
        s3.stop()
        valkey.stop()
