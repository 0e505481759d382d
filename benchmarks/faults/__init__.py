"""Inputs that are damaged on purpose, and what reads them."""
