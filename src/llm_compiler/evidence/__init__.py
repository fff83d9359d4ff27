"""Where trust comes from: campaigns of candidates over suites, the table that they fill, and small reproductions."""
