"""Fine-tuning of a backbone's last layers, and the features that it gives then. Heads on them: training."""
