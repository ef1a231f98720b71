# One image for the API, the worker and the migration; the command decides which it is.
#
# 3.13 is the newest Python that the tests run on. A stand-in base needs a Debian's useradd, `python` and pip 22.3.
ARG PYTHON_IMAGE=python:3.13-slim

FROM ${PYTHON_IMAGE} AS build
# Or requirements-otel.lock, requirements-dask.lock or requirements-sqs.lock, which add to that one.
ARG REQUIREMENTS=requirements-server.lock
WORKDIR /opt/crivo
COPY ${REQUIREMENTS} ./
# Wheels only: nothing is compiled, so there is no compiler to leave behind, and no build script runs.
RUN python -m venv --without-pip venv \
    && python -m pip --python venv/bin/python install --quiet --no-cache-dir --no-compile \
        --only-binary=:all: --require-hashes --requirement ${REQUIREMENTS} \
    && venv/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash venv
COPY pyproject.toml ./
COPY migrations migrations
COPY app app
# A read-only root caches no bytecode later. By hash: no clock of a copy can make it stale.
RUN venv/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash app migrations

FROM ${PYTHON_IMAGE}
LABEL org.opencontainers.image.title="Crivo" \
      org.opencontainers.image.description="Versioned JavaScript preprocessing scripts, run over JSON data"
# The folders of blobs and of exports exist and are ours, so that new volumes on them are, too.
RUN rm -rf /usr/local/bin/pip* /usr/local/lib/python3*/site-packages/pip /usr/local/lib/python3*/site-packages/pip-* \
    && groupadd --gid 10001 crivo \
    && useradd --uid 10001 --gid crivo --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin crivo \
    && install -d -o crivo -g crivo -m 0700 /var/lib/crivo/blobs /var/lib/crivo/exports
WORKDIR /opt/crivo
# First what changes seldom: an update of Crivo alone is a small layer.
COPY --from=build /opt/crivo/venv venv
COPY --from=build /opt/crivo/pyproject.toml /opt/crivo/requirements-*.lock ./
COPY --from=build /opt/crivo/migrations migrations
COPY --from=build /opt/crivo/app app
ENV PATH=/opt/crivo/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    MALLOC_ARENA_MAX=1 \
    MALLOC_MMAP_THRESHOLD_=2097152 \
    MALLOC_TRIM_THRESHOLD_=4194304 \
    BLOB_URL=file:///var/lib/crivo/blobs
# By number: Kubernetes' runAsNonRoot reads no names.
USER 10001:10001
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-m", "app.healthcheck", "api"]
CMD ["python", "-m", "app.main"]
