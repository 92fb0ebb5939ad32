"""Each fault of an object store has its own sentence and cure; nothing else that answers is taken for a store."""

import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from agents.base.errors import NoSpace, NotFound, TunelineError, Unavailable
from agents.base.object_store import ObjectStore
from app.processes.embedded import Server
from tests.support.answers import Answer, answering, s3_fault
from tests.support.valkeys import write_certificate

NGINX_502 = "<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"
Use = Callable[[ObjectStore], object]
USES: dict[str, Use] = {
    "read": lambda store: store.get("some/key"),
    "write": lambda store: store.put("some/key", b"x"),
    "look": lambda store: store.size("some/key"),
    "list": lambda store: store.keys("some/"),
    "bucket": lambda store: store.require_bucket(),
    "create": lambda store: store.create("some/key", b"x"),
}


def store_at(url: str, **fields: float) -> ObjectStore:
    return ObjectStore(url, "test-key", "test-secret", "models", timeout_s=5, **{"patience_s": 0.0, **fields})


def said(answer: Answer, use: str = "read") -> TunelineError:
    """Return what is said to a store that answers so."""
    with answering(lambda *_: answer) as url, pytest.raises(TunelineError) as caught:
        USES[use](store_at(url))
    return caught.value


def apart(minutes: float) -> dict[str, str]:
    """Return the header of a server whose clock is so many minutes ahead."""
    return {"Date": format_datetime(datetime.now(UTC) + timedelta(minutes=minutes), usegmt=True)}


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize(("minutes", "told"), [(16, "16 minutes apart"), (-20, "20 minutes apart")])
@pytest.mark.parametrize("code", ["RequestTimeTooSkewed", "AccessDenied", "SignatureDoesNotMatch"])
def test_clocks_that_differ_are_told_with_both_and_the_difference(
    code: str, minutes: float, told: str, use: str
) -> None:
    fault = said(s3_fault(code, 403, headers=apart(minutes)), use)

    assert isinstance(fault, Unavailable)
    assert told in fault.message
    assert "UTC" in fault.message
    assert "Set the clock" in fault.cure


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize(
    "answer",
    [
        s3_fault("AuthorizationHeaderMalformed", 400, "<Region>eu-west-1</Region>"),
        s3_fault("PermanentRedirect", 301, headers={"x-amz-bucket-region": "eu-west-1"}),
        s3_fault("BadRequest", 400, headers={"x-amz-bucket-region": "eu-west-1"}),
        s3_fault("TemporaryRedirect", 307, headers={"x-amz-bucket-region": "eu-west-1"}),
    ],
)
def test_another_region_is_named(answer: Answer, use: str) -> None:
    fault = said(answer, use)

    assert "is in the region 'eu-west-1'" in fault.message
    assert "'us-east-1'" in fault.message
    assert fault.cure == "Set TUNELINE_S3_REGION=eu-west-1."


@pytest.mark.parametrize(
    ("answer", "told", "cure"),
    [
        (s3_fault("AccessDenied", 403), "refuses s3:GetObject in the bucket 'models'", "Allow s3:GetObject"),
        (s3_fault("InvalidAccessKeyId", 403), "doesn't know the access key", "TUNELINE_S3_ACCESS_KEY"),
        (s3_fault("SignatureDoesNotMatch", 403), "refuses the signature", "TUNELINE_S3_SECRET_KEY"),
        (s3_fault("NoSuchBucket", 404), "has no bucket 'models'", "TUNELINE_S3_BUCKET"),
        (s3_fault("XMinioStorageFull", 507), "is full", "Make room"),
        (s3_fault("QuotaExceeded", 400), "is full", "Make room"),
        (Answer(507, "no space", "text/plain"), "is full", "Make room"),
        (s3_fault("SlowDown", 503), "is overloaded: SlowDown", "Ask again"),
        (s3_fault("InternalError", 500), "refused s3:GetObject of 'some/key': InternalError", "its own log"),
        (s3_fault("PermanentRedirect", 301, "<Endpoint>other.example</Endpoint>"), "at other.example", "ENDPOINT_URL"),
        (s3_fault("MadeUpCode", 400, content_type="text/xml"), "MadeUpCode: Told by the test", "S3 server"),
    ],
)
def test_a_refusal_says_what_is_refused_and_what_helps(answer: Answer, told: str, cure: str) -> None:
    fault = said(answer)

    assert told in fault.message
    assert cure in fault.cure


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (Answer(502, NGINX_502, "text/html", "nginx/1.27"), "'nginx/1.27' answered"),
        (Answer(503, "", "text/html", "awselb/2.0"), "HTTP 503 Service Unavailable"),
        (Answer(407, "<html></html>", "text/html", "squid"), "'squid' answered"),
        (Answer(200, "<html><title>Sign in</title></html>", "text/html", "portal"), "'portal' answered"),
        (Answer(400, "<html>plain HTTP was sent to HTTPS</html>", "text/html; charset=utf-8"), "HTTP 400 Bad Request"),
    ],
)
def test_a_page_of_something_in_between_is_no_store(answer: Answer, told: str, use: str) -> None:
    fault = said(answer, use)

    assert isinstance(fault, Unavailable)
    assert told in fault.message
    assert "Not an object store" in fault.message
    assert fault.cure


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed_and_says_where_to(status: int, use: str) -> None:
    asked = []

    def answer(method: str, path: str) -> Answer:
        asked.append((method, path))
        headers = {"Location": "https://user:secret@elsewhere.example/models?token=secret"}
        return Answer(status, "<html>moved</html>", "text/html", "caddy", headers)

    with answering(answer) as url, pytest.raises(Unavailable) as caught:
        USES[use](store_at(url))

    assert "redirects to https://elsewhere.example" in caught.value.message
    assert "secret" not in str(caught.value)
    assert len(asked) == 1


def test_broken_xml_is_no_store() -> None:
    for use in ("read", "list"):
        assert (
            "Not an object store" in said(Answer(403 if use == "read" else 200, "<html><p>", server="box"), use).message
        )


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_the_bound_on_tries_is_the_callers_whatever_retry_after_says(status: int) -> None:
    asked = []

    def answer(method: str, _: str) -> Answer:
        asked.append(method)
        return s3_fault("SlowDown", status, headers={"Retry-After": "3600"})

    # A client that obeyed would come to no end here.
    with answering(answer) as url, pytest.raises(Unavailable, match="is overloaded"):
        store_at(url, patience_s=0.3).get("some/key")
    assert len(asked) > 1


def test_a_store_that_comes_back_within_the_patience_is_used() -> None:
    answers = iter([s3_fault("SlowDown", 503), Answer(502, NGINX_502, "text/html")])

    with answering(lambda *_: next(answers, Answer(200, "bytes", headers={"ETag": '"1"'}))) as url:
        assert store_at(url, patience_s=30.0).get("some/key") == b"bytes"


def test_a_page_that_is_an_object_is_read() -> None:
    page = Answer(200, "<html></html>", "text/html", headers={"ETag": '"1"'})
    with answering(lambda *_: page) as url:
        assert store_at(url).get("page.html") == b"<html></html>"


def test_tls_that_is_not_trusted_or_not_there_is_told(tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*write_certificate(tmp_path))
    with (
        answering(lambda *_: Answer(), lambda plain: context.wrap_socket(plain, server_side=True)) as url,
        pytest.raises(Unavailable, match=r"not trusted here: self-signed.*SSL_CERT_FILE"),
    ):
        store_at(url).get("some/key")
    with answering(lambda *_: Answer()) as url, pytest.raises(Unavailable, match=r"doesn't speak TLS.*http://"):
        store_at(url.replace("http:", "https:")).get("some/key")


def test_a_name_without_an_address_is_told() -> None:
    with pytest.raises(Unavailable, match=r"no address is known for the name 'nowhere\.invalid'.*DNS"):
        store_at("http://nowhere.invalid:9000").get("some/key")


# -- a real store ------------------------------------------------------------------------------


def test_a_missing_bucket_and_wrong_keys_of_a_real_store(s3_server: Server, objects: ObjectStore) -> None:
    with pytest.raises(NotFound, match="has no bucket 'not-there'"):
        objects.in_bucket("not-there").require_bucket()
    for key, secret in (("test-key", "wrong"), ("nobody", "test-secret")):
        store = ObjectStore(objects.endpoint_url, key, secret, objects.bucket, patience_s=0.0)
        for use in USES.values():
            with pytest.raises(Unavailable, match="TUNELINE_S3_"):
                use(store)


def test_an_object_is_made_once(objects: ObjectStore) -> None:
    assert objects.create("models/m/versions/000001/manifest.json", b"first")
    assert not objects.create("models/m/versions/000001/manifest.json", b"second")
    assert objects.get("models/m/versions/000001/manifest.json") == b"first"


def test_a_store_that_knows_conditions_judges_while_it_writes() -> None:
    """Between the look and the write another has written."""
    put = []

    def answer(method: str, _: str) -> Answer:
        put.append(method)
        return s3_fault("PreconditionFailed", 412) if method == "PUT" else s3_fault("NoSuchKey", 404)

    with answering(answer) as url:
        assert store_at(url).create("a", b"x") is False
    assert put == ["HEAD", "PUT"]


def test_a_store_that_refuses_conditions_gets_none() -> None:
    answers = [s3_fault("NoSuchKey", 404), s3_fault("NotImplemented", 501), Answer(200, headers={"ETag": '"1"'})]
    with answering(lambda *_: answers.pop(0)) as url:
        assert store_at(url).create("a", b"x") is True
    assert answers == []


def test_a_full_store_is_no_space() -> None:
    assert isinstance(said(s3_fault("XMinioStorageFull", 507), "write"), NoSpace)
