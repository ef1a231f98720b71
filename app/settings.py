"""Declare every setting, with its default and meaning; app.environment reads them."""

from typing import Annotated, Final

from msgspec import Meta

from app.limits import (
    MAX_BATCH_BYTES,
    MAX_MEMORY_BYTES,
    MAX_PAYLOAD_BYTES,
    MAX_WALL_MS,
    MIB,
    BatchBytes,
    BatchItems,
    CpuMs,
    InputBytes,
    LimitPolicy,
    Limits,
    MemoryBytes,
    OutputBytes,
    WallMs,
)
from app.pipe_settings import PipeSettings

_MAX_DAYS: Final = 36_500


class Settings(PipeSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything an operator can configure.

    The environment variable of a field `port` is `CRIVO_PORT`. `DATABASE_URL`, `REDIS_URL`,
    `BLOB_URL`, `SANDBOX_ISOLATION` and `OTEL_EXPORTER_OTLP_ENDPOINT` have no prefix. Values that
    can hold a secret can come from a file, named by `DATABASE_URL_FILE`, `REDIS_URL_FILE`,
    `BLOB_URL_FILE` or `CRIVO_ADMIN_KEY_FILE`.
    """

    database_url: Annotated[
        str, Meta(description="PostgreSQL 15 or newer; empty: the embedded server")
    ] = ""
    redis_url: Annotated[
        str, Meta(description="Redis or Valkey 6.2 or newer; empty: the embedded server")
    ] = ""
    blob_url: Annotated[
        str,
        Meta(
            description="store of payloads above 1 MiB and of datasets: file://, s3://, gs://, "
            "az://; empty: the folder `blobs` of the data folder"
        ),
    ] = ""
    data: Annotated[str, Meta(description="the embedded servers' data", min_length=1)] = ".crivo"
    host: Annotated[
        str, Meta(description="address the API listens on; any but loopback requires keys")
    ] = "127.0.0.1"
    bind: Annotated[
        str,
        Meta(
            description="in a container, the host's address that publishes the API's port; any "
            "but loopback requires keys, as with `CRIVO_HOST`; empty: `CRIVO_HOST` decides"
        ),
    ] = ""
    auth: Annotated[
        str,
        Meta(
            description="whether requests need an API key. `keys`: always; `open`: never, for "
            "loopback only; `auto`: unless the API listens on loopback and no key "
            "has ever existed",
            pattern="^(auto|open|keys)$",
        ),
    ] = "auto"
    admin_key: Annotated[
        str,
        Meta(
            description="a key with all scopes, created when the API first starts: `crv_`, 32 "
            "hexadecimal digits, `_`, 43 or more of `A-Za-z0-9_-`; or a file that "
            "holds one"
        ),
    ] = ""
    insecure_listen: Annotated[
        bool,
        Meta(
            description="`true`: the API may run without keys beyond loopback, open to everyone "
            "who reaches its port; something else must keep strangers out"
        ),
    ] = False
    port: Annotated[int, Meta(description="port of the API", ge=1, le=65_535)] = 8000
    metrics_listen: Annotated[
        str,
        Meta(
            description="address where API and worker serve `/metrics` without a key, each on "
            "the first free port: `127.0.0.1:9101-9116`; empty: only the API "
            "serves it, on its own port, to keys with the scope `admin`",
            pattern=r"^(([A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\]):[0-9]{1,5}(-[0-9]{1,5})?)?$(?!\n)",
        ),
    ] = ""
    metrics_tenants: Annotated[
        int,
        Meta(
            description="tenants with metrics of their own, first come first served; the "
            "others share the label `(other)`",
            ge=0,
            le=10_000,
        ),
    ] = 50
    otel_exporter_otlp_endpoint: Annotated[
        str,
        Meta(
            description="OTLP/HTTP endpoint that receives traces: `http://collector:4318`; "
            "empty: none",
            pattern=r"^(https?://\S+)?$(?!\n)",
        ),
    ] = ""
    log_level: Annotated[
        str, Meta(description="lowest level that is logged", pattern="^(debug|info|warning|error)$")
    ] = "info"
    access_log: Annotated[
        bool,
        Meta(
            description="`true`: the API logs every request as a line `http.request` with its "
            "`request_id`"
        ),
    ] = False
    db_pool_size: Annotated[
        int, Meta(description="database connections of one process", ge=2, le=500)
    ] = 10
    worker_slots: Annotated[
        int,
        Meta(
            description="executions that one worker runs at once; 0: one for each core",
            ge=0,
            le=1_024,
        ),
    ] = 0
    sandbox_isolation: Annotated[
        str,
        Meta(
            description="`process`: each execution has its own process; `isolate`: its own V8 "
            "isolate, `context`: its own context in one, in a process that serves one tenant",
            pattern="^(context|isolate|process)$",
        ),
    ] = "context"
    sandbox_contexts: Annotated[
        int, Meta(description="contexts of one such process, each for one execution", ge=1, le=256)
    ] = 96
    sandbox_isolates: Annotated[
        int, Meta(description="the same for isolates, also if contexts do not work", ge=1, le=64)
    ] = 24
    sandbox_memory_bytes: Annotated[
        int,
        Meta(
            description="memory that the executions of one worker may reach together, V8's "
            "overhead beyond their limits included; 0: three quarters of the host's or container's",
            ge=0,
        ),
    ] = 0
    sandbox_without_seccomp: Annotated[
        bool,
        Meta(
            description="`true`: user code may run where the kernel does not filter its system "
            "calls; otherwise API and worker refuse to start there"
        ),
    ] = False
    idempotency_hours: Annotated[
        int, Meta(description="hours for which an `Idempotency-Key` is remembered", ge=1, le=720)
    ] = 24
    native: Annotated[
        bool,
        Meta(
            description="`false`: internals of V8 and the C library, which make executions cheaper "
            "and memory errors exact, are not used (`app/sandbox/native/`)"
        ),
    ] = True
    max_waiting: Annotated[
        int,
        Meta(
            description="requests that may wait for executions in one API process; 503 above",
            ge=1,
            le=100_000,
        ),
    ] = 2_000
    max_waiting_of_tenant: Annotated[
        int, Meta(description="the same for one tenant; 429 above", ge=1, le=100_000)
    ] = 1_000
    lease_seconds: Annotated[
        int,
        Meta(
            description="how long a claim lasts without a heartbeat of its worker", ge=1, le=3_600
        ),
    ] = 8
    grace_seconds: Annotated[
        int,
        Meta(
            description="how long running executions may continue after their worker is told "
            "to stop; the worker then releases them",
            ge=0,
            le=600,
        ),
    ] = 10
    hang_seconds: Annotated[
        int,
        Meta(
            description="how long a periodic task of API or worker may stall before the "
            "process exits, to be restarted; at least 20; 0: no limit",
            ge=0,
            le=3_600,
        ),
    ] = 120
    max_attempts: Annotated[
        int,
        Meta(description="claims of one execution before it fails as `worker_lost`", ge=1, le=100),
    ] = 3
    default_wall_ms: Annotated[WallMs, Meta(description="default time limit of an execution")] = (
        10_000
    )
    max_wall_ms: Annotated[WallMs, Meta(description="highest time limit a client can choose")] = (
        MAX_WALL_MS
    )
    max_cpu_ms: Annotated[
        CpuMs,
        Meta(
            description="highest CPU time limit a client can choose; its default is the "
            "execution's time limit"
        ),
    ] = MAX_WALL_MS
    default_memory_bytes: Annotated[
        MemoryBytes, Meta(description="default memory limit of an execution")
    ] = 512 * MIB
    max_memory_bytes: Annotated[
        MemoryBytes, Meta(description="highest memory limit a client can choose")
    ] = MAX_MEMORY_BYTES
    max_input_bytes: Annotated[InputBytes, Meta(description="largest input")] = MAX_PAYLOAD_BYTES
    max_batch_items: Annotated[BatchItems, Meta(description="inputs of one batch")] = 100_000
    max_batch_bytes: Annotated[BatchBytes, Meta(description="data of one batch")] = MAX_BATCH_BYTES
    max_output_bytes: Annotated[
        OutputBytes,
        Meta(
            description="default output limit of an execution, and the highest a client can choose"
        ),
    ] = MAX_PAYLOAD_BYTES
    keep_payloads_days: Annotated[
        int,
        Meta(
            description="days after which input, result and logs of a finished execution are "
            "erased; 0: never",
            ge=0,
            le=_MAX_DAYS,
        ),
    ] = 30
    keep_receipts_days: Annotated[
        int,
        Meta(
            description="days after which a finished execution is deleted with its receipt; 0: "
            "never",
            ge=0,
            le=_MAX_DAYS,
        ),
    ] = 0
    dead_letter_days: Annotated[
        int,
        Meta(
            description="days after which a dead letter is deleted, counted from its last failure; "
            "0: never",
            ge=0,
            le=_MAX_DAYS,
        ),
    ] = 30
    max_queued: Annotated[
        int,
        Meta(
            description="executions that may be queued for all tenants together; 503 above; 0: "
            "no limit",
            ge=0,
        ),
    ] = 1_000_000
    cors_origins: Annotated[
        str,
        Meta(
            description="origins whose pages may use the API from a browser, exactly as "
            "browsers write them, separated by commas: `https://app.example`; "
            "empty: none",
            pattern=r"^(https?://[^\s,/*]+(,\s*https?://[^\s,/*]+)*)?$",
        ),
    ] = ""
    trusted_proxies: Annotated[
        str,
        Meta(
            description="addresses and networks of proxies whose `X-Forwarded-For` is trusted, "
            "separated by commas: `10.0.0.7,192.168.0.0/16`; empty: none"
        ),
    ] = ""
    max_connections: Annotated[
        int, Meta(description="connections that one API process holds at once", ge=1, le=100_000)
    ] = 4_000
    max_requests_of_tenant: Annotated[
        int,
        Meta(
            description="requests of one tenant that one API process handles at once, "
            "including slow bodies and waiting readers; 429 above; 0: half of "
            "`CRIVO_MAX_CONNECTIONS`",
            ge=0,
            le=100_000,
        ),
    ] = 0
    client_seconds: Annotated[
        int,
        Meta(
            description="how long a client may take for a request's head, and for every 4 KiB "
            "of its body or of an answer, before its connection is closed",
            ge=1,
            le=3_600,
        ),
    ] = 20

    @property
    def limit_policy(self) -> LimitPolicy:
        """The default limits of executions and their ceilings."""
        return LimitPolicy(
            default_wall_ms=self.default_wall_ms,
            default_memory_bytes=self.default_memory_bytes,
            ceilings=Limits(
                wall_ms=self.max_wall_ms,
                max_cpu_ms=self.max_cpu_ms,
                memory_bytes=self.max_memory_bytes,
                max_output_bytes=self.max_output_bytes,
            ),
        )
