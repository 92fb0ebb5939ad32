"""What release 0.1.0 wrote, put into files: `python -m tests.kept.record` at a commit of that release.

It works with the code of 0.1.0 and need not work with any later one; its files are for ever.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from app.processes.embedded import start_s3, start_valkey
from app.settings import Settings
from app.wiring import Parts, build_parts
from tests.conftest import new_bucket
from tests.kept.bases import write_decoder, write_encoder
from tests.kept.dumps import write_tar
from tests.kept.record_answers import record_answers
from tests.kept.record_checkpoints import record_checkpoints
from tests.kept.record_job import record_job
from tests.kept.record_versions import record_versions
from tests.support.agents import NAMES, TEST_AGENTS


@contextmanager
def servers(folder: Path) -> Iterator[Parts]:
    """Give parts on servers of their own, with the settings in the environment for processes that are started."""
    valkey, s3 = start_valkey(folder), start_s3(folder / "s3", "test-key", "test-secret")
    objects = new_bucket(s3)
    values = {
        "REDIS_URL": f"redis://127.0.0.1:{valkey.port}",
        "S3_ENDPOINT_URL": objects.endpoint_url,
        "S3_ACCESS_KEY": "test-key",
        "S3_SECRET_KEY": "test-secret",
        "S3_BUCKET": objects.bucket,
        "STATE_DIR": str(folder / "state"),
        "DATA_ROOTS": str(folder / "roots"),
        "AGENTS": ",".join(f"{name}={TEST_AGENTS[name].path}" for name in NAMES),
        # Nothing is put right while it is recorded.
        "SWEEP_INTERVAL_S": "3600",
        "LEASE_TTL_S": "15",
    }
    os.environ.update({f"TUNELINE_{name}": value for name, value in values.items()})
    try:
        yield build_parts(Settings(_env_file=None))
    finally:
        s3.stop()
        valkey.stop()


def record_trained(parts: Parts, roots: Path) -> None:
    """Keep base models, and versions and checkpoints that were trained on them."""
    for name, write in (("encoder", write_encoder), ("decoder", write_decoder)):
        (roots / name).mkdir(parents=True)
        write(roots / name)
    files = {str(path.relative_to(roots)): path.read_bytes() for path in roots.rglob("*") if path.is_file()}
    write_tar("bases.tar.gz", files)
    record_versions(parts, roots)
    record_answers(parts)
    record_checkpoints(parts.objects, roots)


if __name__ == "__main__":
    with TemporaryDirectory() as scratch, servers(Path(scratch)) as parts:
        record_trained(parts, Path(scratch, "roots"))
    with TemporaryDirectory() as scratch, servers(Path(scratch)) as parts:
        record_job(parts)
