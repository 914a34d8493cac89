"""Learned models on ComfyUI's model management. Only this package and `nodes/` import comfy.*."""
