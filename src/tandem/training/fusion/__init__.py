"""Feature fusion: a small network on the features of several backbones, trained by NumPy."""
