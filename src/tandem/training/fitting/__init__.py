"""What fits a head: linear heads by Adam in NumPy, networks by Adam in torch, logistic regressions by L-BFGS."""
