"""What a process asks of its host: memory that it keeps."""

import subprocess
import sys

import pytest

PROGRAM = """
import platform, resource, sys
from agents.host import keep_freed_memory

def faults(rounds):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(rounds):
        bytearray(b"x") * (64 << 20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults(1)
given_back = faults(4)
keep_freed_memory()
faults(1)
print(platform.libc_ver()[0], given_back, faults(4))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="of glibc")
def test_a_process_that_keeps_its_memory_has_no_pages_cleared_anew() -> None:
    said = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True).stdout
    library, given_back, kept = said.split()
    if library != "glibc":
        pytest.skip("of glibc")
    # 64 MiB are 16,384 pages of 4 KiB.
    assert int(given_back) > 4 * 16_000
    assert int(kept) < 1000
