"""What a table states: its rows as text, and the columns of it that are boxes."""
