"""Classifiers without their last layer as feature extractors, with trained or random weights; one module a provider."""
