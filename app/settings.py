"""Settings: the only reader of the environment. Every name starts with `TUNELINE_`."""

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from agents.base.errors import NotAllowed
from agents.formats import formats_of
from agents.models.kinds import ModelKind
from app.server_urls import check_redis_url, check_store_url
from pipelines.caps import Caps

DEFAULT_WORKERS = {"default": 1, "training": 1, "evaluation": 1, "serving": 1}
#: A name or an address, without a port; with `*.` before it all names below.
HOST = re.compile(r"(\*\.)?[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?|\[?[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*\]?")
ORIGIN = re.compile(r"https?://[A-Za-z0-9_.\[\]:-]+")


def _format_of(kind: ModelKind) -> AfterValidator:
    def check(name: str) -> str:
        known = ["auto", *(form.name for form in formats_of(kind))]
        if name not in known:
            raise ValueError(f"'{name}' is not a format that serving loads; there are {', '.join(known)}")
        return name

    return AfterValidator(check)


def _pairs(value: str) -> Iterator[tuple[str, str, str]]:
    """Yield each `name=value` of a list with commas: the part as written, its name and its value."""
    for part in value.split(","):
        name, _, given = (word.strip() for word in part.partition("="))
        yield part.strip(), name, given


ServingFormat = Annotated[str, _format_of("classifier")]
DecoderFormat = Annotated[str, _format_of("decoder")]


def refuse_of_others(file: Path) -> None:
    """See that nobody but this user, or root, can have written a file of settings.

    They say where keys and data are sent and which modules are imported.

    Raises:
        NotAllowed: somebody else can.
    """
    for found in (file.lstat(), file.stat()) if file.exists() else ():
        if (fault := written_by_others(found)) is not None:
            raise NotAllowed(
                f"The settings in {file.absolute()} are not read: {fault}.",
                cure=f"If they are yours, run `chown {os.getuid()} {file}; chmod o-w {file}`; or start elsewhere.",
            )


def written_by_others(found: os.stat_result) -> str | None:
    """Return who besides this user and root can have written a file or a link; None: nobody."""
    trusted = {os.getuid(), 0}
    if os.getuid() == 0 and os.environ.get("SUDO_UID", "").isdecimal():
        trusted.add(int(os.environ["SUDO_UID"]))
    if found.st_uid not in trusted:
        return f"the file belongs to another user, {found.st_uid}"
    if found.st_mode & stat.S_IWOTH and not stat.S_ISLNK(found.st_mode):
        return "everybody may write to that file"
    return None


class Settings(BaseSettings):
    """Values come from the environment, then `.env`, then the defaults below."""

    # One that is empty, as compose files pass what is not set, is not set: an empty key would open to everybody.
    model_config = SettingsConfigDict(
        env_prefix="TUNELINE_", env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return where values come from, in order. Raises NotAllowed: as `refuse_of_others` of `.env`."""
        if file := getattr(dotenv_settings, "env_file", None):
            refuse_of_others(Path(file))
        return init_settings, env_settings, dotenv_settings

    state_dir: Path = Field(
        Path(".tuneline"), description="Where a host keeps its caches and work, and `tuneline up` its servers' data."
    )

    redis_url: str | None = Field(None, description="Redis 7/8 or Valkey; unset: the embedded one.")
    redis_prefix: str = Field(
        "",
        pattern=r"^[A-Za-z0-9_.-]{0,64}$",
        description="Stands with a colon before every key in Redis, so that installations share a database; empty: "
        "nothing does, as in 0.1.0.",
    )
    redis_timeout_s: float = Field(5.0, description="How long a Redis command may take.")

    s3_endpoint_url: str | None = Field(None, description="Any S3 server; unset: the embedded one.")
    s3_access_key: str | None = Field(
        None, description="Access key of the object store; unset: the embedded one has keys that each start makes."
    )
    s3_secret_key: SecretStr | None = Field(None, description="Secret key of the object store.")
    s3_bucket: str = Field("tuneline", description="Bucket for artifacts, models and archived logs.")
    s3_patience_s: float = Field(120.0, description="How long a worker waits for an object store that is away.")
    s3_region: str = Field("us-east-1", description="Region to sign for.")

    api_host: str = Field("127.0.0.1", description="Address the API listens on.")
    api_port: int = Field(8000, description="Port of the API.")
    serving_host: str = Field("127.0.0.1", description="Address serving listens on.")
    serving_port: int = Field(8001, description="Port of serving.")
    serving_format: ServingFormat = Field(
        "auto",
        description="Format that serving loads: `onnx_int8`, `onnx`, `merged` or `adapter`; `auto`: the first that a "
        "version has, on a GPU `adapter` and `merged` first.",
    )
    decoder_format: DecoderFormat = Field(
        "auto",
        description="Format of decoders that serving loads: `gguf_q8_0`, `gguf_q4_k_m`, `gguf_f16`, `merged` or "
        "`adapter`; `auto`: the first that a version has, on a GPU `adapter` and `merged` first.",
    )
    convert_model: str = Field("task", description="Model that answers `/convert` where the request names none.")
    answer_timeout_s: float = Field(120.0, gt=0, description="How long a decoder's answer may take, its wait included.")
    answers_waiting_most: int = Field(
        32, ge=0, description="Requests that may wait for a decoder; further ones are refused with 429."
    )
    answer_cache: bool = Field(False, description="Keep serving's answers in Redis, for texts that come again.")
    answer_cache_ttl_s: float = Field(3600.0, gt=0, description="How long an answer is kept there.")
    drift_window: int = Field(
        1000, ge=100, description="Newest predictions of a version that drift is computed from; see `docs/serving.md`."
    )
    async_batch_texts_most: int = Field(10_000, description="Texts that one asynchronous batch may have.")
    api_url: str = Field("http://127.0.0.1:8000", description="Where the command line finds the API.")
    serving_url: str = Field("http://127.0.0.1:8001", description="Where the command line finds serving.")
    api_key: SecretStr | None = Field(
        None,
        description="Key that callers send as `Authorization: Bearer`; required beyond loopback. Unset: the token that "
        "`tuneline token` prints.",
    )
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Names that the API and serving are asked by beside those of loopback and their own address, "
        "separated by commas; `*.example.com`: all below it.",
    )
    allowed_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Origins of web pages that may ask, such as `https://studio.example.com`, separated by commas."
    )
    json_limit_mb: int = Field(8, ge=1, le=1024, description="Largest body that is not an upload, in MiB.")
    connections_most: int = Field(
        1000, ge=16, description="Connections that the API, and serving, keep open; fewer where files are limited."
    )
    followers_most: int = Field(100, ge=1, description="Logs that are followed at the same time.")
    uploads_most: int = Field(4, ge=1, description="Uploads that are received at the same time.")
    head_timeout_s: float = Field(10.0, gt=0, description="How long the headers of a request may take.")
    idle_timeout_s: float = Field(
        30.0, gt=0, description="How long a body that is sent, or an answer that is fetched, may stand still."
    )

    force_key: SecretStr | None = Field(
        None, description="Key that a promotion against the verdict needs besides; unset: there are none."
    )

    history_url: str | None = Field(
        None, description="SQLAlchemy URL of the prediction history; unset: SQLite in the state folder."
    )

    history_texts: Literal["whole", "hash"] = Field(
        "whole", description="What the history keeps of a text: all of it, or its sha256."
    )

    workers: Annotated[dict[str, int], NoDecode] = Field(
        DEFAULT_WORKERS,
        description="Workers that `tuneline up` starts, by queue; of Tuneline's four, one that is not named has one.",
    )
    queue_workers_most: int = Field(
        32, ge=0, le=256, description="Workers of a host that `PUT /queues/{name}` may ask for, for each queue."
    )
    job_nodes_most: int = Field(
        Caps.job_nodes_most, ge=1, description="Nodes that a job may have, after the matrix; larger specs are refused."
    )
    job_cost_usd_most: float = Field(
        Caps.job_cost_usd_most,
        ge=0,
        allow_inf_nan=False,
        description="What the language models of one job may cost together, in US dollars; specs that ask for more are "
        "refused.",
    )
    node_retries_most: int = Field(
        Caps.node_retries_most, ge=0, description="Further attempts that a node may ask for."
    )
    node_timeout_s_most: float = Field(
        Caps.node_timeout_s_most, gt=0, allow_inf_nan=False, description="Timeout that a node may ask for."
    )
    agents: Annotated[dict[str, str], NoDecode] = Field(
        {}, description="Agents of your own: `name=module:Class@queue`, separated by commas."
    )
    data_roots: Annotated[tuple[Path, ...], NoDecode] = Field(
        (Path(),), description="Folders that path sources may lie in, separated by `:`."
    )
    source_packages: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Further installed packages, or folders of them, that `package://` may read from, separated by "
        "commas.",
    )
    upload_limit_mb: int = Field(1024, description="Largest dataset that can be uploaded, in MiB.")
    rows_unpacked_ratio: int = Field(
        200, ge=1, description="A file of rows may become so many times its size, and 64 MiB, when it is unpacked."
    )
    rows_memory_mib: int = Field(
        2048, ge=64, description="Memory that one JSON document of rows may take in a worker, in MiB."
    )
    rows_columns_most: int = Field(10_000, ge=1, description="Columns that a file of rows may have.")
    rows_cell_mib: int = Field(
        10, ge=1, le=1024, description="Longest line or cell of a file of rows, in millions of characters."
    )
    preview_memory_mib: int = Field(
        1024, ge=256, description="Memory that one preview may take in its own process, in MiB."
    )
    preview_timeout_s: float = Field(60.0, gt=0, le=3600, description="How long one preview may take.")
    lease_ttl_s: float = Field(10.0, description="A worker silent for so long has lost its node.")
    lease_renew_s: float = Field(1.0, description="How often a worker renews its lease and looks for a cancel.")
    queue_share: int = Field(
        100,
        ge=1,
        description="Nodes of one job that wait in a queue at once; the rest follow as these start, so that a large "
        "job holds up no small one.",
    )
    sweep_interval_s: float = Field(1.0, description="How often lost leases and due retries are looked for.")
    stop_grace_s: float = Field(20.0, description="Time for a stopping node to save a checkpoint before it is killed.")
    light_memory_mib: int = Field(
        0,
        ge=0,
        description="Memory in MiB that a worker's process may hold while a light agent runs in it; 0: three quarters "
        "of the host's.",
    )
    device_wait_s: float = Field(
        300.0, ge=0, description="How long a heavy node waits for room on a GPU before it runs on the CPU."
    )
    device_mib_default: int = Field(
        0, ge=0, description="GPU memory in MiB for a node that can't say what it needs; 0: a whole GPU."
    )
    keep_jobs_days: float = Field(90.0, description="Ended jobs older than this are forgotten by `tuneline gc`.")
    keep_live_logs_days: float = Field(7.0, description="`tuneline gc` leaves older logs in the object store only.")
    keep_checkpoints_days: float = Field(7.0, description="`tuneline gc` removes older checkpoints of ended jobs.")
    log_max_entries: int = Field(200_000, description="Entries of a job's live log before the oldest are trimmed.")

    @field_validator("workers", mode="before")
    @classmethod
    def _parse_workers(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        counts = {}
        for part, name, count in _pairs(value):
            if not name or not count.isdecimal():
                raise ValueError(f"'{part}' is not queue=workers: default=2,training=1")
            counts[name] = int(count)
        # A queue that is not named keeps its worker: without one, its nodes would wait for ever.
        return {**DEFAULT_WORKERS, **counts}

    @field_validator("agents", mode="before")
    @classmethod
    def _parse_agents(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        places = {}
        for part, name, place in _pairs(value):
            if part and (not name or ":" not in place.partition("@")[0]):
                raise ValueError(f"'{part}' is not name=module:Class@queue")
            if name:
                places[name] = place
        return places

    @field_validator("data_roots", mode="before")
    @classmethod
    def _parse_data_roots(cls, value: object) -> object:
        return tuple(Path(part).expanduser() for part in value.split(":")) if isinstance(value, str) else value

    @field_validator("source_packages", mode="before")
    @classmethod
    def _parse_source_packages(cls, value: object) -> object:
        names = [part.strip() for part in value.split(",")] if isinstance(value, str) else value
        for name in names if isinstance(names, list) else ():
            if not all(part.isidentifier() for part in name.split("/")):
                raise ValueError(
                    f"'{name}' is not the name of a package or of a folder in one: module or module/folder"
                )
        return names

    @field_validator("allowed_hosts", "allowed_origins", mode="before")
    @classmethod
    def _parse_names(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("allowed_hosts")
    @classmethod
    def _are_hosts(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if not HOST.fullmatch(name):
                raise ValueError(f"'{name}' is not a host: write a name or an address without a port, or *.example.com")
        return value

    @field_validator("allowed_origins")
    @classmethod
    def _are_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for origin in value:
            if not ORIGIN.fullmatch(origin):
                raise ValueError(f"'{origin}' is not an origin: write it like https://studio.example.com")
        return value

    @field_validator("state_dir")
    @classmethod
    def _expand_home(cls, value: Path) -> Path:
        # A shell expands it, but not in `.env`.
        return value.expanduser()

    @field_validator("redis_url", "s3_endpoint_url")
    @classmethod
    def _check_url(cls, value: str | None, info: ValidationInfo) -> str | None:
        check = check_redis_url if info.field_name == "redis_url" else check_store_url
        return None if value is None else check(value)

    @model_validator(mode="after")
    def _leases_are_renewed_in_time(self) -> "Settings":
        if not 0 < 2 * self.lease_renew_s <= self.lease_ttl_s:
            raise ValueError("TUNELINE_LEASE_RENEW_S must be at most half of TUNELINE_LEASE_TTL_S")
        return self
