"""ComfyUI-Character3D: what ComfyUI imports."""
