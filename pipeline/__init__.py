"""The algorithms, on numpy, scipy, torch and trimesh. Imports neither ComfyUI nor aiohttp."""
