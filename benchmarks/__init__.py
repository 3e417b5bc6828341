"""Measurements of quality and speed; `facext bench` and `make bench` run them."""
