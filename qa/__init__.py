"""Looking at what was annotated: statistics and the report."""
