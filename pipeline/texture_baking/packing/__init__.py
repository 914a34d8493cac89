"""Pack the charts of an atlas: nested by their bitmaps, or as boxes where there are too many."""
