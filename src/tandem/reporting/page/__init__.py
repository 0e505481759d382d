"""The page: what a run's facts look like to a reader. One HTML file that asks for nothing else."""
