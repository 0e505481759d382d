"""A watched download: a client in a child process, attempts, resumption, checksums, redacted messages."""
