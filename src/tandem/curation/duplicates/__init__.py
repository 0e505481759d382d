"""Search for near duplicates: features and hashes propose candidates, aligned pixels verify them."""
