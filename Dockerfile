# The chat in one image, for processors. With a GPU, let vLLM serve the model beside it: see compose.yaml.

FROM python:3.11-slim AS build
WORKDIR /build
RUN python -m venv /opt/deskmate
ENV PATH=/opt/deskmate/bin:$PATH
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY ingest ingest
COPY retrieval retrieval
COPY finetune finetune
COPY app app
COPY eval eval
# Everything in the versions that were tested. PyTorch's own index has builds for processors alone, without gigabytes for
# GPUs: give its address as --build-arg TORCH_INDEX=…
ARG TORCH_INDEX=
RUN pip install --no-cache-dir --constraint constraints.txt ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} torch \
 && pip install --no-cache-dir --constraint constraints.txt ".[postgres]"
# The two embedded models, checked against their hashes: the running container needs no network.
RUN DESKMATE_HOME=/tmp/workspace DESKMATE_MODELS=/opt/models deskmate doctor && chmod -R a+rX /opt/models

FROM python:3.11-slim
RUN useradd --uid 10001 --create-home deskmate \
 && install -d -o deskmate -g deskmate -m 700 /data
COPY --from=build /opt/deskmate /opt/deskmate
COPY --from=build /opt/models /opt/models
# The workspace is a folder in the volume, not the volume itself: a restore exchanges it whole.
ENV PATH=/opt/deskmate/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    DESKMATE_HOME=/data/workspace \
    DESKMATE_MODELS=/opt/models \
    DESKMATE_CHAT__HOST=0.0.0.0
USER deskmate
WORKDIR /data
VOLUME /data
EXPOSE 7860
HEALTHCHECK --interval=30s --timeout=5s --start-period=120s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:7860/healthz', timeout=4)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["deskmate"]
CMD ["chat"]
