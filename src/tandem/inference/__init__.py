"""A trained model as one object: pixels to probabilities, exported to one file, and what that file predicts."""
