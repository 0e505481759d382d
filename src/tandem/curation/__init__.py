"""Near duplicates, groups, splits and label errors, from features and hashes. Reads no params.yaml, knows no stage."""
