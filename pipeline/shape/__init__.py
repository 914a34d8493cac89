"""From the framed picture to a closed mesh."""

from .inflate import inflate_silhouette

__all__ = ["inflate_silhouette"]
