"""Scores of given logits, their confidence intervals, calibration and selective prediction. Trains nothing."""
