# docker build -t protokeep:0.1.0 .
#
# The tag gets the security fixes of Python and Debian whenever the image is built anew. To build from the same base each
# time, put its digest behind the tag: python:3.13-slim-bookworm@sha256:... (docker buildx imagetools inspect prints it).
ARG BASE=python:3.13-slim-bookworm

FROM ${BASE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
COPY requirements/runtime.txt requirements/build.txt requirements/
# Every package is a wheel whose digest is pinned: nothing is compiled, and nothing runs while it is installed.
RUN python -m venv /opt/protokeep \
    && /opt/protokeep/bin/pip install --require-hashes --only-binary=:all: -r requirements/runtime.txt \
    && python -m venv /opt/builder \
    && /opt/builder/bin/pip install --require-hashes --only-binary=:all: -r requirements/build.txt
COPY pyproject.toml README.md LICENSE ./
COPY src src
# pip leaves with the stage: a running container has nothing to install.
RUN /opt/builder/bin/python -m hatchling build -t wheel -d /wheels \
    && /opt/protokeep/bin/pip install --no-deps --no-index /wheels/*.whl \
    && /opt/protokeep/bin/pip uninstall --yes pip

FROM ${BASE}
LABEL org.opencontainers.image.title="protokeep" org.opencontainers.image.licenses="Apache-2.0"
# A user without a name, so that `runAsNonRoot` can see that it is not root, and a folder for the data of SQLite.
RUN install -d -o 10001 -g 10001 -m 0700 /data
COPY --from=build /opt/protokeep /opt/protokeep
ENV PATH=/opt/protokeep/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PROTOKEEP_HOST=0.0.0.0 \
    PROTOKEEP_PORT=8400 \
    PROTOKEEP_LOG_FORMAT=json
USER 10001:10001
# Where protokeep.db and its secret are made, unless PROTOKEEP_DATABASE_URL names another database.
WORKDIR /data
VOLUME /data
EXPOSE 8400
# protokeep ends within seconds of SIGTERM, as the first process too. Docker's --init does no harm.
STOPSIGNAL SIGTERM
# Whether the process answers. Whether it can serve is /readyz, which a database's bad day may make fail.
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import http.client, os, sys; c = http.client.HTTPConnection('127.0.0.1', int(os.environ['PROTOKEEP_PORT']), timeout=4); c.request('GET', '/livez'); sys.exit(c.getresponse().status != 200)"]
ENTRYPOINT ["protokeep"]
CMD ["serve"]
