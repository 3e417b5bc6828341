"""`facext tree` and `facext doctor`: what the project knows and what works here."""

from __future__ import annotations

import click

from flows.commands import DONE, FAILED


@click.command(short_help="Print the Facial Image Concept Tree.")
@click.option("--definitions", is_flag=True, help="With the definition of each concept.")
def tree(definitions: bool) -> int:
    """Print the Facial Image Concept Tree: 112 atomic regions and their parents."""
    from rich.console import Console
    from rich.tree import Tree as Drawing

    from fict.tree import Concept, load_tree

    concepts = load_tree()

    def label(concept: Concept) -> str:
        number = f"[cyan]{concept.id:>3}[/]" if concepts.is_atomic(concept) else "[dim]  ·[/]"
        told = f"  [dim]{concept.definition}[/]" if definitions else ""
        return f"{number} {concept.name}{told}"

    def grow(drawing: Drawing, concept: Concept) -> None:
        branch = drawing.add(label(concept))
        for child in concepts.children_of(concept):
            grow(branch, child)

    drawing = Drawing(f"{concepts.root.name} · FICT {concepts.version}")
    for child in concepts.children_of(concepts.root):
        grow(drawing, child)
    Console().print(drawing)
    click.echo(f"{len(concepts.atomic)} atomic concepts")
    return DONE


@click.command(short_help="Show what is installed and works.")
def doctor() -> int:
    """Show what is installed and which backends work on this machine."""
    from flows.doctor import examine

    return DONE if examine() else FAILED
