"""From source packages to training shards: recording builds, functions, deduplication, splits, shards."""
