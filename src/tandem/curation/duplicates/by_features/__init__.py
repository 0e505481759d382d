"""Pairs of rows of features whose cosine is high, and the nearest rows of each: exactly, or by an index of centers."""
