"""Tandem: from images of Kaggle, Roboflow and your own disk to a classifier, and to scores that hold."""
