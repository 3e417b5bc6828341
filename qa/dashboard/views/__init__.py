"""The views: each turns a dataset and an address into a page."""
