"""Names of hosts and origins, whatever is sent as one."""

from hypothesis import given
from hypothesis import strategies as st

from app.door.hosts import REMEMBERED_MOST, Hosts, host_of, is_same_origin

LABEL = st.from_regex(r"[a-z]([a-z0-9-]{0,10}[a-z0-9])?", fullmatch=True)
NAME = st.lists(LABEL, min_size=1, max_size=4).map(".".join)


@given(st.binary(max_size=80))
def test_no_header_breaks_the_look_and_none_is_ours_by_chance(header: bytes) -> None:
    ours = {b"localhost", b"127.0.0.1", b"[::1]"}
    allowed = Hosts.of("127.0.0.1", ()).allow(header)
    assert not allowed or header.lower().rpartition(b":")[0] in ours or header.lower().rstrip(b".") in ours


@given(NAME, st.integers(0, 65535))
def test_a_name_is_taken_with_and_without_a_port(name: str, port: int) -> None:
    hosts = Hosts.of("127.0.0.1", [name])

    assert host_of(f"{name.upper()}:{port}") == name
    assert hosts.allow(name.encode())
    assert hosts.allow(f"{name}:{port}".encode())
    assert not hosts.allow(f"{name}.evil.example".encode())
    assert not hosts.allow(f"evil-{name}".encode())


@given(NAME, NAME)
def test_only_the_same_place_is_the_same_origin(name: str, other: str) -> None:
    assert is_same_origin(f"http://{name}", name)
    assert is_same_origin(f"https://{name}", f"{name}:443")
    assert not is_same_origin(f"http://{name}:81", name)
    assert not is_same_origin(name, name)
    assert is_same_origin(f"http://{other}", name) is (other == name)


def test_what_was_allowed_is_remembered_within_a_bound() -> None:
    hosts = Hosts.of("127.0.0.1", ["*.example"])
    assert all(hosts.allow(f"n{number}.example".encode()) for number in range(2 * REMEMBERED_MOST))
    assert len(hosts._known) == REMEMBERED_MOST
