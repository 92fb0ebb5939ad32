"""What went wrong at the object store, as a sentence with its cure: the one place that reads its faults."""

import re
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit
from xml.etree.ElementTree import ParseError

from minio.error import MinioException, S3Error, ServerError
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    MaxRetryError,
    NameResolutionError,
    NewConnectionError,
    ReadTimeoutError,
    SSLError,
)

from agents.base.errors import NoSpace, NotFound, TunelineError, Unavailable
from agents.base.store_http import StoreAnswer

#: What a store's client raises where the store is away, refuses, or is none. `OSError`: a connection's end.
STORE_FAULTS = (HTTPError, MinioException, StoreAnswer, ParseError, OSError)
MISSING_CODES = {"NoSuchKey", "NoSuchBucket", "NoSuchObject", "NotFound"}
FULL_CODES = {"XMinioStorageFull", "InsufficientStorage", "QuotaExceeded", "XMinioAdminBucketQuotaExceeded"}
BUSY_CODES = {
    "SlowDown",
    "SlowDownRead",
    "SlowDownWrite",
    "ServiceUnavailable",
    "TooManyRequests",
    "RequestLimitExceeded",
}
KEY_CODES = {"InvalidAccessKeyId", "SignatureDoesNotMatch", "AccessDenied", "AllAccessDisabled"}
REGION_CODES = {
    "AuthorizationHeaderMalformed",
    "PermanentRedirect",
    "IllegalLocationConstraintException",
    "InvalidRegion",
}
#: What a client makes up where an answer has no body, as those to HEAD have none.
MUTE_CODES = {"AccessDenied", "BadRequest", "PermanentRedirect", "Redirect", "RetryHead"}
#: Stores refuse signatures of clocks that are a quarter of an hour apart from theirs.
CLOCK_APART_S = 600.0
FULL_CURE = "Make room there (`tuneline gc` says what nothing refers to), then retry the job."
LOG_CURE = "Look at its own log; a full disk is a common cause (`tuneline gc` says what can go)."


@dataclass(frozen=True)
class StorePlace:
    """Which store and bucket were asked, as which region, and how long was waited for an answer."""

    url: str
    bucket: str
    region: str
    timeout_s: float

    @property
    def name(self) -> str:
        return f"The object store at {self.url}"


@dataclass(frozen=True)
class _Answer:
    """What a server said, whichever client error carries it."""

    code: str
    message: str
    status: int
    headers: Mapping[str, str]
    body: str

    @property
    def region(self) -> str | None:
        """The region that the bucket is in, where the answer tells."""
        found = re.search(r"<Region>([\w-]+)</Region>|expecting '([\w-]+)'", self.body + self.message)
        return self.headers.get("x-amz-bucket-region") or (found and (found[1] or found[2])) or None

    def clock_apart_s(self) -> float:
        """Return how many seconds this machine's clock is ahead of the server's; 0 where that is not told."""
        theirs = self.time()
        return (datetime.now(UTC) - theirs).total_seconds() if theirs else 0.0

    def time(self) -> datetime | None:
        """Return what the server's clock said, where it told."""
        try:
            told = _tag("ServerTime", self.body)
            found = datetime.fromisoformat(told) if told else parsedate_to_datetime(self.headers.get("date", ""))
        except ValueError:
            return None
        return found if found.tzinfo else found.replace(tzinfo=UTC)


def store_error(fault: Exception, place: StorePlace, key: str, action: str) -> TunelineError:
    """Return the error that users see; `action`: the right of a policy that was used, such as `s3:GetObject`."""
    answer = _answer_of(fault)
    if answer is None:
        return _unreachable(fault, place)
    if not answer.code:
        return _foreign(answer, place)
    return next(found for make in _READINGS if (found := make(answer, place, key, action)) is not None)


def is_mute(fault: S3Error) -> bool:
    """Say whether a refusal came without the server's own words."""
    return fault.code in MUTE_CODES and not getattr(fault.response, "data", b"")


def store_code(fault: Exception) -> str:
    """Return the server's own word for what was wrong; empty where there is none."""
    answer = _answer_of(fault)
    return answer.code if answer else ""


def _answer_of(fault: Exception) -> _Answer | None:
    if isinstance(fault, StoreAnswer):
        return _Answer(_tag("Code", fault.body), _tag("Message", fault.body), fault.status, fault.headers, fault.body)
    if isinstance(fault, S3Error):
        response: Any = fault.response
        body = (getattr(response, "data", None) or b"").decode(errors="replace")
        headers, status = getattr(response, "headers", {}), getattr(response, "status", 0)
        return _Answer(str(fault.code), str(fault.message or ""), status, headers, body)
    if isinstance(fault, ServerError):
        # An answer to HEAD without words, and not a page: the store's own.
        code = "ServiceUnavailable" if fault.status_code in {429, 503} else ""
        return _Answer(code, "", fault.status_code, {}, "")
    return _Answer("", "", 200, {}, "broken XML") if isinstance(fault, ParseError) else None


def _tag(name: str, body: str) -> str:
    text, closed, _ = body.partition(f"<{name}>")[2].partition(f"</{name}>")
    return text if closed and "<" not in text else ""


# -- answers of a store, in the order in which they are looked at ----------------------------------


def _missing(answer: _Answer, place: StorePlace, key: str, _: str) -> TunelineError | None:
    if answer.code == "NoSuchBucket":
        return NotFound(
            f"{place.name} has no bucket '{place.bucket}'.", cure="Make the bucket, or check TUNELINE_S3_BUCKET."
        )
    return NotFound(f"The object store has no '{key}'.") if answer.code in MISSING_CODES else None


def _full(answer: _Answer, place: StorePlace, key: str, _: str) -> TunelineError | None:
    if answer.code in FULL_CODES or answer.status == HTTPStatus.INSUFFICIENT_STORAGE:
        return NoSpace(f"{place.name} is full: '{key}' was not written.", cure=FULL_CURE)
    return None


def _clock(answer: _Answer, place: StorePlace, _key: str, _action: str) -> TunelineError | None:
    apart_s = answer.clock_apart_s()
    if answer.code != "RequestTimeTooSkewed" and not (answer.code in KEY_CODES and abs(apart_s) > CLOCK_APART_S):
        return None
    told = f"this machine's says {datetime.now(UTC):%H:%M:%S} UTC"
    if theirs := answer.time():
        told += f", the store's {theirs.astimezone(UTC):%H:%M:%S} UTC, {abs(apart_s) / 60:.0f} minutes apart"
    return Unavailable(
        f"{place.name} refuses requests because the clocks differ too much: {told}.",
        cure="Set the clock that is wrong, on both by NTP (`timedatectl set-ntp true`).",
    )


def _region(answer: _Answer, place: StorePlace, _key: str, _action: str) -> TunelineError | None:
    other = answer.region if answer.region != place.region else None
    if answer.code not in REGION_CODES and not (other and answer.status in (301, 307, 400)):
        return None
    if other is None and answer.code == "PermanentRedirect" and (elsewhere := _tag("Endpoint", answer.body)):
        return Unavailable(
            f"{place.name} says that the bucket '{place.bucket}' is to be asked for at {elsewhere}.",
            cure="Set TUNELINE_S3_ENDPOINT_URL to that address, and TUNELINE_S3_REGION to its region.",
        )
    told = f"is in the region '{other}'" if other else "is in another region"
    cure = f"Set TUNELINE_S3_REGION={other}." if other else "Set TUNELINE_S3_REGION to the bucket's region."
    return Unavailable(
        f"The bucket '{place.bucket}' at {place.url} {told}, and TUNELINE_S3_REGION says '{place.region}'.", cure=cure
    )


def _keys(answer: _Answer, place: StorePlace, _: str, action: str) -> TunelineError | None:
    if answer.code == "InvalidAccessKeyId":
        return Unavailable(
            f"{place.name} doesn't know the access key.",
            cure="Check TUNELINE_S3_ACCESS_KEY and TUNELINE_S3_SECRET_KEY.",
        )
    if answer.code == "SignatureDoesNotMatch":
        return Unavailable(
            f"{place.name} refuses the signature of requests: the secret key is not that of the access key.",
            cure="Check TUNELINE_S3_SECRET_KEY; a proxy in between has to leave Host and path as they are.",
        )
    if answer.code not in KEY_CODES:
        return None
    return Unavailable(
        f"{place.name} refuses {action} in the bucket '{place.bucket}': {answer.code}.",
        cure=f"Allow {action} in the bucket's policy, or check TUNELINE_S3_ACCESS_KEY and TUNELINE_S3_SECRET_KEY.",
    )


def _busy(answer: _Answer, place: StorePlace, _key: str, _action: str) -> TunelineError | None:
    if answer.code not in BUSY_CODES:
        return None
    return Unavailable(
        f"{place.name} is overloaded: {answer.code}.", cure="Ask again in a minute; if it stays so, look at its log."
    )


def _lost_upload(answer: _Answer, place: StorePlace, key: str, _: str) -> TunelineError | None:
    if answer.code != "NoSuchUpload":
        return None
    return Unavailable(f"{place.name} gave up the upload of '{key}' while it was sent.", cure=LOG_CURE)


def _other(answer: _Answer, place: StorePlace, key: str, action: str) -> TunelineError:
    message = f": {answer.message}" if answer.message else ""
    server_fault = answer.status >= 500 or answer.code == "InternalError"
    cure = (
        LOG_CURE if server_fault else "Check that it is an S3 server and that its address, bucket and keys are right."
    )
    return Unavailable(
        f"{place.name} refused {action} of '{key}': {answer.code}{message.rstrip('.')}.",
        cure=cure,
    )


_READINGS: tuple[Callable[[_Answer, StorePlace, str, str], TunelineError | None], ...] = (
    _missing,
    _full,
    _clock,
    _region,
    _keys,
    _busy,
    _lost_upload,
    _other,
)


# -- no answer of a store ----------------------------------------------------------------------------


def _foreign(answer: _Answer, place: StorePlace) -> TunelineError:
    """Return the error for an answer that no store gives; it says who answered."""
    status = answer.status
    if status == HTTPStatus.INSUFFICIENT_STORAGE:
        return NoSpace(f"{place.name} is full.", cure=FULL_CURE)
    words = HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else ""
    who = answer.headers.get("server") or answer.headers.get("via") or "something that gives no name"
    told = f"HTTP {status} {words}".strip()
    title = re.search(r"<title>\s*([^<]{1,80}?)\s*</title>", answer.body, re.IGNORECASE)
    told += f", '{title[1]}'" if title and title[1] != f"{status} {words}" else ""
    if 300 <= status < 400:
        aim = urlsplit(answer.headers.get("location", ""))
        where = f" to {aim.scheme}://{aim.netloc.rpartition('@')[2]}" if aim.netloc else ""
        return Unavailable(
            f"{place.url} is not an object store: '{who}' redirects{where} ({told}).",
            cure="Set TUNELINE_S3_ENDPOINT_URL to the address of the store itself.",
        )
    if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        cure = "Let this machine reach the store without that proxy, or have the proxy let it through."
    elif status in (502, 503, 504):
        cure = "Start the store behind it, or wait until it is back."
    else:
        cure = "Check TUNELINE_S3_ENDPOINT_URL: it has to be the store's own address, and of S3, not of its web page."
    return Unavailable(f"Not an object store but '{who}' answered at {place.url}: {told}.", cure=cure)


def _unreachable(fault: Exception, place: StorePlace) -> TunelineError:
    cause: BaseException = fault
    if isinstance(cause, MaxRetryError) and cause.reason is not None:
        cause = cause.reason
    host = urlsplit(place.url).hostname
    if isinstance(cause, SSLError | ssl.SSLError):
        return _tls(str(cause), place)
    if isinstance(cause, NameResolutionError):
        return Unavailable(
            f"{place.name} can't be found: no address is known for the name '{host}'.",
            cure="Check TUNELINE_S3_ENDPOINT_URL and this machine's DNS.",
        )
    # A connection that is refused counts as one that timed out to the client.
    if isinstance(cause, ReadTimeoutError | ConnectTimeoutError) and not isinstance(cause, NewConnectionError):
        return Unavailable(
            f"{place.name} doesn't answer: it has been silent for {place.timeout_s:g} s.",
            cure="Look whether it is overloaded, or whether a firewall is in between; check TUNELINE_S3_ENDPOINT_URL.",
        )
    return Unavailable(f"{place.name} doesn't answer.", cure="Start it, or check TUNELINE_S3_ENDPOINT_URL.")


def _tls(told: str, place: StorePlace) -> TunelineError:
    if "CERTIFICATE_VERIFY_FAILED" in told or "certificate" in told:
        reason = re.search(r"verify failed: (.*?)(?: \(_ssl|\)|$)", told)
        why = (reason[1] if reason else told).rstrip(".")
        return Unavailable(
            f"{place.name} has a TLS certificate that is not trusted here: {why}.",
            cure="Set SSL_CERT_FILE to a file with the certificate of its CA, or use the name that it was made for.",
        )
    return Unavailable(
        f"{place.name} doesn't speak TLS as this machine does: {told.split('(_ssl', maxsplit=1)[0].strip()}.",
        cure="Use http:// in TUNELINE_S3_ENDPOINT_URL if it has no TLS.",
    )
