"""Which code computes a project's results: the files that each stage runs, and the version that the project pins."""
