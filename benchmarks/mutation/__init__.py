"""Small changes of the code, of which each must make a test fail; see benchmarks/mutants.py."""
