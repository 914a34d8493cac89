"""The service on several machines: front doors without ComfyUI, workers beside each (docs/cluster.md)."""
