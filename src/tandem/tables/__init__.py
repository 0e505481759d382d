"""What travels between stages: small frozen tables, checked when they are built and when they are read."""
