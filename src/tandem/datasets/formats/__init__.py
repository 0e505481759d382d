"""How data sets are laid out on disk, one module a format: each finds images and their labels, and opens no image."""
