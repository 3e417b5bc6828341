"""How good answers are; what each figure means and cannot tell: docs/evaluation.md."""
