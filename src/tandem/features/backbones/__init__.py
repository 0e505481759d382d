"""Classifiers without their last layer, with trained or random weights, one module a provider."""
