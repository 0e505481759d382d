"""The commands about images that a finished project does not hold yet: predict, serve, drift, select."""
