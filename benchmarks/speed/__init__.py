"""How fast the measure stage is, and what the rest of a run adds."""
