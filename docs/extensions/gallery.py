"""The notebooks of `analysis` as pages, and the directive ``notebooks`` that shows their figures.

Before a build each notebook becomes ``gallery/NAME.ipynb``, which myst-nb executes as any page. The
directive stands for one card a notebook: its title, its first paragraph and its first figure.
"""

from pathlib import Path

import jupytext
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

FOLDER = "gallery"


class Cards(nodes.General, nodes.Element):
    """Where the cards will stand, once all notebooks have been read."""


class Notebooks(SphinxDirective):
    """Put the cards here."""

    def run(self) -> list[nodes.Node]:
        """Leave a place for them."""
        return [Cards()]


def convert(app: Sphinx) -> None:
    """Write the notebooks where Sphinx finds them, and remove those that are no more."""
    folder = Path(app.srcdir) / FOLDER
    folder.mkdir(exist_ok=True)
    sources = sorted((Path(app.srcdir).parent / "analysis").glob("*.py"))
    for old in set(folder.glob("*.ipynb")) - {folder / f"{s.stem}.ipynb" for s in sources}:
        old.unlink()
    for source in sources:
        jupytext.write(jupytext.read(source), folder / f"{source.stem}.ipynb")


def fill(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Put the cards in their place."""
    for place in list(doctree.findall(Cards)):
        names = sorted(n for n in app.env.found_docs if n.startswith(f"{FOLDER}/"))
        place.replace_self([card(app, name, docname) for name in names if name != docname])


def card(app: Sphinx, name: str, docname: str) -> nodes.container:
    """Make the card of one notebook."""
    page = app.env.get_doctree(name)
    title = app.env.titles[name].astext()
    address = app.builder.get_relative_uri(docname, name)
    link = nodes.reference("", title, internal=True, refuri=address)
    question = next(page.findall(nodes.paragraph)).deepcopy()
    heading = nodes.paragraph("", "", nodes.strong("", "", link))
    found = nodes.container("", heading, question, classes=["card"])
    for image in list(page.findall(nodes.image))[:1]:  # none if the notebook was not executed
        figure = image.deepcopy()
        figure["alt"] = title
        found += nodes.reference("", "", figure, internal=True, refuri=address)
    return found


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive and what fills it."""
    app.add_node(Cards)
    app.add_directive("notebooks", Notebooks)
    app.connect("builder-inited", convert)
    app.connect("doctree-resolved", fill)
    return {"parallel_read_safe": True}
