# Image for the pods of kuberay.yaml: this project with the GPU build of vLLM, run by an unprivileged user.
#   git archive HEAD | docker build --tag registry.example/selfimprove:0.1.0 -
FROM python:3.11-slim

# Kernels are compiled at run time, which needs a compiler; KubeRay's health checks use wget.
RUN apt-get update && apt-get install --yes --no-install-recommends build-essential wget && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 1000 --create-home ray

WORKDIR /opt/selfimprove
COPY . .
RUN make install EXTRA=gpu
ENV PATH=/opt/selfimprove/.venv/bin:$PATH
USER 1000
