"""What near_duplicates.py measures: planted near duplicates, our pairs, those of other tools, and their scores."""
