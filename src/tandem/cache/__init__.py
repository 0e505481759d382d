"""What was computed before, in the user's cache folder, by what it was computed from: it saves time and no more."""
