"""Which labels the images do not bear out: a probe and neighbors, the noise of the labels, the list for a person."""
