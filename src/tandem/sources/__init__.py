"""From Kaggle, Roboflow, archives and the synthetic sample to files on disk and a receipt. Labels are left to datasets."""
