"""Similar images in two splits, for the leakage check: found by code that shares none with the search (.duplicates)."""
