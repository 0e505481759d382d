"""One training by several processes: the same bytes, whatever their number."""
