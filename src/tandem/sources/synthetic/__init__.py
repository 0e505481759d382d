"""The synthetic sample: scenes generated from a seed, encoded as files, with their ground truth."""
