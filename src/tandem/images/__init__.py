"""From encoded bytes to pixels: decoding, the one transform, perceptual hashes, images decoded ahead of their use."""
