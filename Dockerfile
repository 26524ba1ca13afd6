# Image with this project, run by an unprivileged user: with the GPU build of vLLM, or with the CPU build. See docs/how-to/docker.md.
#   docker build --tag selfimprove .
#   docker build --tag selfimprove:cpu --build-arg EXTRA=cpu .
FROM python:3.11-slim
ARG EXTRA=gpu

# Kernels are compiled at run time, which needs a compiler; KubeRay's health checks use wget.
RUN apt-get update && apt-get install --yes --no-install-recommends build-essential wget && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 1000 --create-home ray \
    && install --directory --owner=1000 --group=1000 /runs /home/ray/.cache

WORKDIR /opt/selfimprove
COPY . .
RUN make install EXTRA=$EXTRA && rm -rf ~/.cache

ENV PATH=/opt/selfimprove/.venv/bin:$PATH RAY_USAGE_STATS_ENABLED=0
USER 1000
# A volume takes the owner of the folder that it is mounted on.
VOLUME /runs
WORKDIR /runs
CMD ["selfimprove", "--help"]
