"""What `nvidia-smi` says, read."""

import pytest

from pipelines.engine.devices import Device
from pipelines.engine.nvidia import chosen, parsed

ANSWER = """\
0, GPU-5f1c, NVIDIA H200, 143771, 143158
1, GPU-77aa, NVIDIA GB10, [N/A], [N/A]
2, GPU-9b30, NVIDIA A100-SXM4-40GB, 40960, 512
"""
FIRST = Device(0, "GPU-5f1c", "NVIDIA H200", 143_771, 143_158)
THIRD = Device(2, "GPU-9b30", "NVIDIA A100-SXM4-40GB", 40_960, 512)


def test_devices_whose_memory_is_known_are_read() -> None:
    assert list(parsed(ANSWER)) == [FIRST, THIRD]
    assert list(parsed("No devices were found\n")) == []


@pytest.mark.parametrize(
    ("visible", "expected"),
    [
        (None, [FIRST, THIRD]),
        ("", []),
        ("2", [THIRD]),
        ("GPU-5f", [FIRST]),
        ("GPU-9b30, 0", [FIRST, THIRD]),
        ("7", []),
        ("NoDevFiles", []),
    ],
)
def test_only_what_may_be_seen_is_lent(visible: str | None, expected: list[Device]) -> None:
    assert chosen([FIRST, THIRD], visible) == expected
