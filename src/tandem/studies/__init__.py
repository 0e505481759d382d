"""Many trainings of the same models: over lr and batch size, and over other splits of the same groups."""
