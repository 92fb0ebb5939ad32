"""URLs of Redis and of the object store are judged when settings are read; what may be secret is never repeated."""

from contextlib import suppress
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from app.cli.faults import lines_of
from app.server_urls import check_redis_url, check_store_url, shown
from app.settings import Settings

SECRET = "hunter2"
WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=30)


@pytest.mark.parametrize(
    "url",
    [
        "redis://127.0.0.1",
        "redis://redis:6379/0",
        "rediss://user:p%40ss@redis.example:6380/15",
        "redis://[::1]:6379/0",
        "unix:///run/redis.sock?db=2",
        "redis://redis/0?password=x&username=y",
        "redis://redis?db=3",
        "rediss://redis:6379/0?ssl_ca_certs=/etc/ca.pem",
    ],
)
def test_urls_that_work_are_taken_as_they_are(url: str) -> None:
    assert check_redis_url(url) == url


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("redis://redis/prod", "a database of Redis is a number"),
        ("redis://redis?db=prod", "a database of Redis is a number"),
        ("redis://redis/0?db=-1", "a database of Redis is a number"),
        ("redis://redis/1/2", "a database of Redis is a number"),
        ("redis://redis/٣", "a database of Redis is a number"),
        ("redis://a:6379,b:6379/0", "it names several hosts"),
        ("redis://a,b", "it names several hosts"),
        ("redis+sentinel://a/0", "Sentinel and Cluster are not used"),
        ("redis-cluster://a/0", "Sentinel and Cluster are not used"),
        ("http://redis:6379", "it has to start with redis://"),
        ("redis:6379", "it has to start with redis://"),
        (f"redis://:{SECRET}#x@redis/0", "it has a #"),
        (f"redis://:{SECRET}/x@redis/0", "write / as %2F"),
        (f"redis://:{SECRET}?x@redis/0", "? as %3F"),
        (f"redis://:{SECRET}@x@redis/0", "@ as %40"),
        (f"redis://:12/{SECRET}@redis/0", "write / as %2F"),
        ("redis://redis:70000/0", "its port is not a number from 1 to 65535"),
        (f"redis://redis:6379/0?passwort={SECRET}", "an option that is not known"),
        ("redis://[::1:6379/0", "it is not a URL"),
        ("unix://", "it names no socket"),
    ],
)
def test_a_url_that_can_not_work_is_told_at_once(url: str, told: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        check_redis_url(url)
    assert told in str(caught.value)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("https://proxy.example/s3", "it has '/s3' after the host"),
        ("https://s3.example/?x=1", "after the host"),
        ("https://s3.example#x", "after the host"),
        (f"https://key:{SECRET}@s3.example", "TUNELINE_S3_SECRET_KEY"),
        ("s3://bucket", "it has to start with http://"),
        ("https://", "it names no host"),
        ("https://:9000", "it names no host"),
        ("http://s3:port", "its port is not a number"),
    ],
)
def test_a_store_below_a_path_is_refused_and_not_asked_at_the_root(url: str, told: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        check_store_url(url)
    assert told in str(caught.value)
    assert SECRET not in str(caught.value)


def test_a_slash_at_the_end_is_no_path() -> None:
    assert check_store_url("https://s3.example:9000/") == "https://s3.example:9000"


def test_the_settings_say_which_of_them_is_wrong() -> None:
    with pytest.raises(ValidationError) as caught:
        Settings(_env_file=None, redis_url="redis://a,b/0", s3_endpoint_url="http://a/b")
    (line,) = lines_of(caught.value) or []
    assert "TUNELINE_REDIS_URL: it names several hosts" in line
    assert "TUNELINE_S3_ENDPOINT_URL: it has '/b'" in line


@given(WORDS, WORDS)
def test_a_password_is_never_shown_nor_told(user: str, password: str) -> None:
    secret = f"se{password}cret"
    quoted = f"redis://{quote(user, safe='')}:{quote(secret, safe='')}@host:1/0"
    assert shown(check_redis_url(quoted)) == "host:1"
    for url in (f"redis://{user}:{secret}@host:1/0", f"redis://host:1/0?password={secret}", f"redis://host:1/{secret}"):
        said = shown(url)
        try:
            check_redis_url(url)
        except ValueError as fault:
            said += str(fault)
        assert "cret" not in said


@given(st.text(max_size=60))
def test_any_text_is_judged_without_another_fault(text: str) -> None:
    for check in (check_redis_url, check_store_url):
        for url in (text, f"redis://{text}", f"https://{text}", f"unix://{text}"):
            with suppress(ValueError):
                assert check(url)
            shown(url)
