"""Flag-tuning labels: the stages between a corpus and the dataset of `tasks.flags`."""
