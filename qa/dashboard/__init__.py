"""The dashboard: who may see it, what it reads, one file per view."""
