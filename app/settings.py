"""Every setting of Crivo: one frozen struct, which app.environment reads."""

from typing import Annotated, Final

from msgspec import Meta, Struct

KIB: Final = 1024
MIB: Final = 1024 * KIB
GIB: Final = 1024 * MIB

# Ceilings that no setting lifts (docs/ARCHITECTURE.md, "Limits").
MAX_WALL_MS: Final = 300_000
MIN_MEMORY_BYTES: Final = 16 * MIB
MAX_MEMORY_BYTES: Final = 4 * GIB
MAX_PAYLOAD_BYTES: Final = 256 * MIB


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an operator can choose.

    A field `port` is the variable `CRIVO_PORT`; the three URLs keep the names that
    the field knows them by: `DATABASE_URL`, `REDIS_URL`, `BLOB_URL`. `SANDBOX_ISOLATION`
    and `OTEL_EXPORTER_OTLP_ENDPOINT` have no prefix either. What may hold a secret can be in a
    file, which `DATABASE_URL_FILE`, `REDIS_URL_FILE`, `BLOB_URL_FILE` or `CRIVO_ADMIN_KEY_FILE`
    names.
    """

    database_url: Annotated[
        str,
        Meta(description="PostgreSQL 15 or newer; empty: the embedded server"),
    ] = ""
    redis_url: Annotated[
        str,
        Meta(description="Redis or Valkey 6.2 or newer; empty: the embedded server"),
    ] = ""
    blob_url: Annotated[
        str,
        Meta(
            description="where payloads above 1 MiB go: file://, s3://, gs://, az://; "
            "empty: the folder `blobs` of the data folder",
        ),
    ] = ""
    data: Annotated[
        str,
        Meta(description="folder of everything the embedded servers keep", min_length=1),
    ] = ".crivo"
    host: Annotated[
        str,
        Meta(description="address the API listens on; beyond loopback it needs keys"),
    ] = "127.0.0.1"
    bind: Annotated[
        str,
        Meta(
            description="in a container, the host's address that the API's port is published at; "
            "beyond loopback it needs keys, as `CRIVO_HOST` does; empty: `CRIVO_HOST` decides",
        ),
    ] = ""
    auth: Annotated[
        str,
        Meta(
            description="whether requests need an API key. `keys`: always; `open`: never, which is "
            "for loopback; `auto`: unless the API listens on loopback and there has never been a "
            "key",
            pattern="^(auto|open|keys)$",
        ),
    ] = "auto"
    admin_key: Annotated[
        str,
        Meta(
            description="a key with all scopes that the API knows from its first start on: "
            "`crv_`, 32 hexadecimal digits, `_`, 43 or more of `A-Za-z0-9_-`; or a file with it"
        ),
    ] = ""
    insecure_listen: Annotated[
        bool,
        Meta(
            description="`true`: the API may run without keys beyond loopback, too, open to "
            "everybody who reaches its port: something else keeps strangers out"
        ),
    ] = False
    port: Annotated[
        int,
        Meta(description="port of the API", ge=1, le=65_535),
    ] = 8000
    metrics_listen: Annotated[
        str,
        Meta(
            description="where API and worker show `/metrics` without a key, each at the first "
            "port that is free: `127.0.0.1:9101-9116`; empty: the API at its own port only, for "
            "keys with the scope `admin`",
            pattern=r"^(([A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\]):[0-9]{1,5}(-[0-9]{1,5})?)?$(?!\n)",
        ),
    ] = ""
    metrics_tenants: Annotated[
        int,
        Meta(
            description="tenants that have metrics of their own, those that came first; the "
            "others share the label `(other)`",
            ge=0,
            le=10_000,
        ),
    ] = 50
    otel_exporter_otlp_endpoint: Annotated[
        str,
        Meta(
            description="where traces go, by OTLP over HTTP: `http://collector:4318`; empty: "
            "nowhere",
            pattern=r"^(https?://\S+)?$(?!\n)",
        ),
    ] = ""
    log_level: Annotated[
        str,
        Meta(description="least level that is logged", pattern="^(debug|info|warning|error)$"),
    ] = "info"
    access_log: Annotated[
        bool,
        Meta(
            description="`true`: the API logs a line for every request, `http.request`, with its "
            "`request_id`"
        ),
    ] = False
    db_pool_size: Annotated[
        int,
        Meta(description="database connections of one process", ge=2, le=500),
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
            description="`process`: each execution in a process of its own; `isolate`: in a V8 "
            "isolate of its own, in a process that serves one tenant only",
            pattern="^(isolate|process)$",
        ),
    ] = "isolate"
    sandbox_isolates: Annotated[
        int,
        Meta(description="isolates of one such process, each for one execution", ge=1, le=64),
    ] = 24
    sandbox_memory_bytes: Annotated[
        int,
        Meta(
            description="memory limits of what one worker runs at once, together; 0: three "
            "quarters of the host's or container's memory",
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
    max_waiting: Annotated[
        int,
        Meta(
            description="requests that may wait for executions at one API process; 503 beyond",
            ge=1,
            le=100_000,
        ),
    ] = 2_000
    max_waiting_of_tenant: Annotated[
        int,
        Meta(description="the same, of one tenant; 429 beyond", ge=1, le=100_000),
    ] = 1_000
    lease_seconds: Annotated[
        int,
        Meta(
            description="how long a claim holds without a sign of life of its worker",
            ge=1,
            le=3_600,
        ),
    ] = 8
    grace_seconds: Annotated[
        int,
        Meta(
            description="how long running executions may go on once their worker is told to stop; "
            "then they are handed back",
            ge=0,
            le=600,
        ),
    ] = 10
    hang_seconds: Annotated[
        int,
        Meta(
            description="how long API or worker may do nothing of what they do again and again "
            "before they end themselves, to be started again: 20 at least; 0: for ever",
            ge=0,
            le=3_600,
        ),
    ] = 120
    max_attempts: Annotated[
        int,
        Meta(
            description="claims of one execution before it fails as `worker_lost`",
            ge=1,
            le=100,
        ),
    ] = 3
    default_wall_ms: Annotated[
        int,
        Meta(description="time limit of an execution", ge=1, le=MAX_WALL_MS),
    ] = 10_000
    max_wall_ms: Annotated[
        int,
        Meta(description="highest time limit a client may ask for", ge=1, le=MAX_WALL_MS),
    ] = MAX_WALL_MS
    max_cpu_ms: Annotated[
        int,
        Meta(
            description="highest limit of CPU time a client may ask for; its default is the "
            "execution's time limit",
            ge=1,
            le=MAX_WALL_MS,
        ),
    ] = MAX_WALL_MS
    default_memory_bytes: Annotated[
        int,
        Meta(
            description="memory limit of an execution",
            ge=MIN_MEMORY_BYTES,
            le=MAX_MEMORY_BYTES,
        ),
    ] = 512 * MIB
    max_memory_bytes: Annotated[
        int,
        Meta(
            description="highest memory limit a client may ask for",
            ge=MIN_MEMORY_BYTES,
            le=MAX_MEMORY_BYTES,
        ),
    ] = MAX_MEMORY_BYTES
    max_input_bytes: Annotated[
        int,
        Meta(description="largest input", ge=1, le=MAX_PAYLOAD_BYTES),
    ] = MAX_PAYLOAD_BYTES
    max_output_bytes: Annotated[
        int,
        Meta(
            description="output limit of an execution, and the highest a client may ask for",
            ge=1,
            le=MAX_PAYLOAD_BYTES,
        ),
    ] = MAX_PAYLOAD_BYTES
    keep_payloads_days: Annotated[
        int,
        Meta(
            description="days after which input, result and logs of a finished execution are "
            "erased; 0: never",
            ge=0,
            le=36_500,
        ),
    ] = 30
    keep_receipts_days: Annotated[
        int,
        Meta(
            description="days after which a finished execution is deleted, receipt and all; "
            "0: never",
            ge=0,
            le=36_500,
        ),
    ] = 0
    max_queued: Annotated[
        int,
        Meta(
            description="executions that may be queued in all, of all tenants; 503 beyond; "
            "0: no bound",
            ge=0,
        ),
    ] = 1_000_000
    default_max_queued: Annotated[
        int,
        Meta(description="executions that a tenant may have queued; 0: no quota", ge=0),
    ] = 100_000
    default_max_running: Annotated[
        int,
        Meta(description="executions of one tenant that run at once; 0: no quota", ge=0),
    ] = 0
    default_max_stored_bytes: Annotated[
        int,
        Meta(
            description="bytes of inputs, results and logs that a tenant may have stored; "
            "0: no quota",
            ge=0,
        ),
    ] = 0
    default_max_bytes_per_day: Annotated[
        int,
        Meta(
            description="bytes of inputs that a tenant may submit on one day (UTC); 0: no quota",
            ge=0,
        ),
    ] = 0
    default_max_scripts: Annotated[
        int,
        Meta(description="scripts that a tenant may have, archived ones too; 0: no quota", ge=0),
    ] = 10_000
    default_max_versions: Annotated[
        int,
        Meta(description="versions of all scripts that a tenant may have; 0: no quota", ge=0),
    ] = 100_000
    default_max_requests_per_second: Annotated[
        int,
        Meta(description="requests that a tenant may make in a second; 0: no quota", ge=0),
    ] = 0
    cors_origins: Annotated[
        str,
        Meta(
            description="origins whose pages may use the API from a browser, exactly as browsers "
            "write them, with commas between: `https://app.example`; empty: none",
            pattern=r"^(https?://[^\s,/*]+(,\s*https?://[^\s,/*]+)*)?$",
        ),
    ] = ""
    trusted_proxies: Annotated[
        str,
        Meta(
            description="addresses and networks of proxies whose `X-Forwarded-For` is believed, "
            "with commas between: `10.0.0.7,192.168.0.0/16`; empty: none"
        ),
    ] = ""
    max_connections: Annotated[
        int,
        Meta(description="connections that one API process holds at once", ge=1, le=100_000),
    ] = 4_000
    max_requests_of_tenant: Annotated[
        int,
        Meta(
            description="requests of one tenant that one API process has in hand at once, slow "
            "bodies and waiting readers included; 429 beyond; 0: half of `CRIVO_MAX_CONNECTIONS`",
            ge=0,
            le=100_000,
        ),
    ] = 0
    client_seconds: Annotated[
        int,
        Meta(
            description="how long a client may take for a request's head, and for every 4 KiB of "
            "its body or of an answer, before its connection is closed",
            ge=1,
            le=3_600,
        ),
    ] = 20
