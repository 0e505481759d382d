"""Heads on features, calibrated on validation, and ensembles of them. Reads no image; finetune trains backbones."""
