"""Out-of-distribution (OOD) detection on features: images that are of none of the classes.

What detectors score and how well that tells classes apart; which score is too high is a matter of `evaluation`
(conformal), and what an exported file makes of it of `inference`.
"""
