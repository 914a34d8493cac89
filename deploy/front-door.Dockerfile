# A front door: no ComfyUI, no torch, no GPU. Built from the pack's folder:
#   docker build -f deploy/front-door.Dockerfile -t character3d-front-door .
ARG PYTHON=3.12
FROM python:${PYTHON}-slim
RUN useradd --create-home --uid 10001 character3d
WORKDIR /opt/character3d
# The requirements first: they change less often than the code.
COPY pyproject.toml README.md LICENSE ./
# hadolint ignore=DL3013
RUN pip install --no-cache-dir ".[cluster]"
COPY . .
USER 10001
ENV PYTHONUNBUFFERED=1
EXPOSE 8188 9188
CMD ["python", "cluster", "front-door", "--host", "0.0.0.0", "--operations-host", "0.0.0.0", "--operations-port", "9188"]
