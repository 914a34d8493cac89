"""HTTP and WebSocket: parameters, jobs, graph building, events, files and limits."""

from .routes import register_routes
from .templates import serve_workflows

__all__ = ["register_routes", "serve_workflows"]
