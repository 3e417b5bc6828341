"""What a record is, in memory and on disk; imports nothing else of the project."""
