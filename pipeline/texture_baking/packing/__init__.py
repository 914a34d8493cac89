"""Place the charts of an atlas: as boxes first, then as bitmaps."""
