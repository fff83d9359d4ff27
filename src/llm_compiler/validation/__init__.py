"""Evidence that code does what it did before: self-testing suites, PassListEval, differential execution, campaigns."""
