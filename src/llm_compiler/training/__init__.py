"""Training: mixtures of tokenised data, packed batches, the trainer, checkpoints, plans, exports."""
