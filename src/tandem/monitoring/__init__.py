"""New images beside those of a finished project: whether they are still like the training data, which to label next."""
