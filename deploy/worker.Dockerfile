# ComfyUI with the pack, and the worker beside it: two commands of one image. Built from the pack's folder:
#   docker build -f deploy/worker.Dockerfile -t character3d-worker .
# For NVIDIA's GPUs:
#   docker build -f deploy/worker.Dockerfile -t character3d-worker:cuda \
#     --build-arg TORCH_WHEELS=https://download.pytorch.org/whl/cu130 .
ARG PYTHON=3.12
FROM python:${PYTHON}-slim
ARG COMFYUI=v0.33.0
ARG COMFYUI_SOURCE=https://github.com/Comfy-Org/ComfyUI.git
ARG TORCH_WHEELS=https://download.pytorch.org/whl/cpu
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends git \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 10001 character3d
RUN git clone --depth 1 --branch "${COMFYUI}" "${COMFYUI_SOURCE}" /opt/ComfyUI
# hadolint ignore=DL3013
RUN pip install --no-cache-dir --index-url "${TORCH_WHEELS}" torch torchvision torchaudio
RUN pip install --no-cache-dir -r /opt/ComfyUI/requirements.txt
WORKDIR /opt/ComfyUI/custom_nodes/ComfyUI-Character3D
COPY pyproject.toml README.md LICENSE ./
# hadolint ignore=DL3013
RUN pip install --no-cache-dir ".[cluster]"
COPY . .
RUN python install.py && install -d -o 10001 -g 10001 /data
USER 10001
ENV PYTHONUNBUFFERED=1 NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
VOLUME ["/data"]
EXPOSE 9188
CMD ["python", "cluster", "worker", "--operations-host", "0.0.0.0", "--operations-port", "9188"]
