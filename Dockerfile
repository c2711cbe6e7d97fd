# edgeguard as a server, without its model: that is a volume, or EDGEGUARD_MODEL=nano to try it.
# docs/containers.md says how to run it.
#
#   docker build --tag edgeguard .

ARG BASE=python:3.13-slim-bookworm

# hadolint ignore=DL3006
FROM ${BASE} AS build
# hadolint ignore=DL3008  # the base image is what is pinned
RUN apt-get update \
    && apt-get install --yes --no-install-recommends g++ \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY scripts scripts
# Its own layer, which takes minutes. The image may run on another processor than this one; with
# --build-arg CMAKE_ARGS=-DLLAVA_BUILD=OFF llama.cpp is built for this one, and is faster there.
ARG CMAKE_ARGS="-DLLAVA_BUILD=OFF -DGGML_NATIVE=OFF"
RUN python -m venv /opt/edgeguard \
    && PYTHON=/opt/edgeguard/bin/python bash scripts/build-llama-cpp >/tmp/wheel \
    && /opt/edgeguard/bin/pip install --no-cache-dir --no-compile "$(cat /tmp/wheel)"
COPY edgeguard edgeguard
COPY convert convert
COPY models models
RUN /opt/edgeguard/bin/pip install --no-cache-dir --no-compile ".[server,proxy]" \
    && /opt/edgeguard/bin/pip uninstall --yes pip \
    && /opt/edgeguard/bin/python -m compileall -q /opt/edgeguard/lib

# hadolint ignore=DL3006
FROM ${BASE}
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --no-create-home --home-dir /data edgeguard \
    && install --directory --owner=edgeguard --mode=0755 /data
COPY --from=build /opt/edgeguard /opt/edgeguard
ENV PATH=/opt/edgeguard/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/data \
    EDGEGUARD_HOME=/data \
    EDGEGUARD_HOST=0.0.0.0
USER 10001
WORKDIR /data
VOLUME /data
EXPOSE 8000 8001
STOPSIGNAL SIGTERM
# Loading takes a while on a small machine; /health is 200 when a test verdict has passed.
HEALTHCHECK --interval=15s --timeout=10s --start-period=10m --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as u; u.build_opener(u.ProxyHandler({})).open('http://127.0.0.1:' + os.environ.get('EDGEGUARD_PORT', '8000') + '/health', timeout=8)"]
ENTRYPOINT ["edgeguard"]
CMD ["serve"]
