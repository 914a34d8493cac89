#!/bin/sh
# The ComfyUI beside a worker: on loopback, with what it makes below $DATA_FOLDER (/data), and on the processor
# where torch finds no GPU. Arguments go to ComfyUI.
set -eu
comfyui=${COMFYUI_FOLDER:-/opt/ComfyUI}
data=${DATA_FOLDER:-/data}
for name in input output temp user; do
    mkdir -p "$data/$name"
done
if ! python -c 'import sys, torch; sys.exit(not torch.cuda.is_available())'; then
    set -- --cpu --use-pytorch-cross-attention "$@"
fi
exec python "$comfyui/main.py" --listen 127.0.0.1 --port 8188 \
    --input-directory "$data/input" --output-directory "$data/output" --temp-directory "$data" \
    --user-directory "$data/user" --database-url "sqlite:///$data/user/comfyui.db" "$@"
