"""Learned models on ComfyUI's model management: the only place besides `nodes/` that imports comfy.*."""
