"""Search for near duplicates: candidates by features and hashes, then verification by pixels."""
