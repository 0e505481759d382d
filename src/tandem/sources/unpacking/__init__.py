"""Archives to folders: members of zips and tars, what is litter among them, and the limits on what is extracted."""
