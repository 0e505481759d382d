"""How data sets lie on disk, one module a format: each finds images and their labels, and opens no image."""
