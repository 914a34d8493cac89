"""HTTP and WebSocket: parameters, jobs, graph building, events, files and limits."""
