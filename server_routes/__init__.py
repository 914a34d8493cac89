"""HTTP and WebSocket: parameters, jobs, graph building, events, files and limits."""

from .routes import register_routes

__all__ = ["register_routes"]
