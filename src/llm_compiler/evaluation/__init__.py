"""How good models and searches are: the reference's tables for any of them, on any IR. One module a task."""
