"""A dataset that others can open: the gate, the card, the formats."""
