"""Heads on features, calibrated on validation, and ensembles of them. Reads no image; backbones are trained in finetune."""
