"""From Kaggle, Roboflow, archives and the synthetic sample to files and a receipt; labels are left to datasets."""
