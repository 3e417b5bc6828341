"""A dataset that others can open: gate, files, card, formats, rebuilt pixels; start at make.py."""
