"""What surrounds a stage's one call: params.yaml read and checked, the code that a stage runs, how a script ends."""
