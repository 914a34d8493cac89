"""The work itself: numpy, scipy, torch and trimesh. Imports neither ComfyUI nor aiohttp."""
