r"""Every number of the paper as a macro, and its tables, from the stores.

``\val{experiment/key}`` is what the module `paper.experiments.EXPERIMENT` returns under that key. A
new number is one entry there. Run as ``python -m paper.numbers`` it writes ``numbers.tex`` alone.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import statmech_bn as sbn
from paper.number import Claim, count, number
from paper.stores import (
    BUILD,
    FURTHER,
    OPTIONAL,
    RESULTS,
    experiments,
    open_store,
    optional_sections,
)
from statmech_bn.errors import InvalidStore

SOURCES = {
    "Ioffe2015": "Ioffe and Szegedy",
    "Laarhoven2017": "van Laarhoven",
    "Keskar2017": "Keskar et al.",
    "Jastrzebski2017": r"Jastrz\k{e}bski et al.",
    "Santurkar2018": "Santurkar et al.",
    "Arora2019": "Arora et al.",
    "Bjorck2018": "Bjorck et al.",
    "Luo2019": "Luo et al.",
    "Yang2019": "Yang et al.",
    "Cohen2021": "Cohen et al.",
    "Balestriero2022": "Balestriero and Baraniuk",
    "Cai2019": "Cai et al.",
    "Goldt2022": "Goldt et al.",
    "SaadSolla1995": "Saad and Solla",
    "Goldt2019": "Goldt et al.",
    "Wan2021": "Wan et al.",
    "LiArora2020": "Li and Arora",
    "De2020": "De and Smith",
    "Summers2020": "Summers and Dinneen",
    "Li2019": "Li et al.",
    "Karakida2019": "Karakida et al.",
}
"""The claims of these sources are judged, in the order of the table."""


def collect(results: Path = RESULTS) -> tuple[dict[str, str], dict[str, list[Claim]]]:
    """Read all stores.

    Returns
    -------
    numbers : dict
        Key → LaTeX.
    claims : dict
        Table → its claims, by source: "claims", "further", and one of the name of each optional
        section.

    Raises
    ------
    InvalidStore
        A store is missing, unfinished or has a hole.
    """
    numbers = {"version": version("statmech_bn"), **limits()}
    claims: dict[str, list[Claim]] = {"claims": []}
    sections = {"further": FURTHER, **OPTIONAL}
    tables = {name: section for section, names in sections.items() for name in names}
    for name in experiments():
        experiment = import_module(f"paper.experiments.{name}")
        with open_store(name, results) as tree:
            numbers |= {f"{name}/{key}": text for key, text in experiment.numbers(tree).items()}
            if hasattr(experiment, "claims"):
                table = claims.setdefault(tables.get(name, "claims"), [])
                table += experiment.claims(tree)
    for table in claims.values():
        table.sort(key=lambda claim: list(SOURCES).index(claim.source))
    verdicts = [claim.verdict for table in claims.values() for claim in table]
    numbers["claims"] = str(len(verdicts))
    for word in ("holds", "corrected", "opposite", "fails", "not seen"):
        numbers[f"claims/{word}"] = str(verdicts.count(word))
    return numbers, claims


def limits() -> dict[str, str]:
    """Return examples of the limits beyond which a mean contradicts a claim."""
    many, points = 10**6, 30
    return {
        "limit/5": number(sbn.study.limit(5), digits=2),
        "limit/points": count(points),
        "limit/many": number(sbn.study.limit(many, points), digits=2),
    }


def macros(numbers: dict[str, str]) -> str:
    r"""Write the definitions behind ``\val``."""
    lines = [rf"\defineval{{{key}}}{{{text}}}" for key, text in numbers.items()]
    return "\n".join(lines) + "\n"


def claims_table(claims: list[Claim], prefix: str = "") -> str:
    """Write the rows of a table of claims, numbered."""
    rows, source = [], ""
    for place, claim in enumerate(claims, start=1):
        if claim.source != source:
            source = claim.source
            title = rf"\emph{{{SOURCES[source]}}} \cite{{{source}}}"
            rows += [r"\addlinespace", rf"\multicolumn{{4}}{{@{{}}l}}{{{title}}} \\"]
        rows.append(rf"{prefix}{place} & {claim.text} & {claim.verdict} & {claim.number} \\")
    columns = r"@{}r>{\raggedright}p{64mm}p{15mm}>{\raggedright\arraybackslash}p{83mm}@{}"
    return tabular(columns, "& claim & verdict & measured here", rows[1:])


def criteria(claims: list[Claim], prefix: str = "") -> str:
    """Write what decides on each claim, as items that are numbered like the table's."""
    items = enumerate(claims, start=1)
    return "".join(rf"\item[{prefix}{place}] {claim.asked}" + "\n" for place, claim in items)


def tabular(columns: str, header: str, rows: list[str]) -> str:
    """Write a table for booktabs."""
    body = [r"\toprule", rf"{header} \\", r"\midrule", *rows, r"\bottomrule"]
    return "\n".join([rf"\begin{{tabular}}{{{columns}}}", *body, r"\end{tabular}"]) + "\n"


def runs_table(results: Path = RESULTS) -> str:
    """Write the sizes of every experiment: its points, dimensions, replicas and seeds."""
    rows = []
    for name in experiments():
        with open_store(name, results) as tree:
            nodes = [node for node in tree.subtree if node.data_vars]
            values = sum(variable.size for node in nodes for variable in node.data_vars.values())
            cells = [
                _span(int(node.attrs["dimension"]) for node in nodes if "dimension" in node.attrs),
                _span(node.sizes["replica"] for node in nodes if "replica" in node.sizes),
                rf"\num{{{values}}}",
            ]
        script = name.replace("_", r"\_")
        rows.append(rf"\texttt{{{script}}} & {' & '.join(cells)} \\")
    return tabular(r"@{}lrrr@{}", "experiment & dimension $N$ & replicas & values", rows)


def _span(values: Iterable[int]) -> str:
    """Print the least and the largest of some integers."""
    found = sorted(set(values))
    if not found:
        return "--"
    ends = dict.fromkeys([found[0], found[-1]])
    return "--".join(rf"\num{{{value}}}" for value in ends)


def write(results: Path = RESULTS, build: Path = BUILD) -> dict[str, str]:
    """Write the numbers, tables, criteria and the optional sections; returns the numbers."""
    numbers, claims = collect(results)
    folder = build / "generated"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "numbers.tex").write_text(macros(numbers))
    asked = ""
    for name, table in claims.items():
        prefix = "" if name == "claims" else name[0].upper()
        (folder / f"{name}.tex").write_text(claims_table(table, prefix))
        asked += criteria(table, prefix)
    (folder / "criteria.tex").write_text(asked)
    (folder / "runs.tex").write_text(runs_table(results))
    inputs = (rf"\input{{sections/{name}}}" for name in optional_sections())
    (folder / "optional.tex").write_text("\n".join(inputs) + "\n")
    return numbers


if __name__ == "__main__":
    try:
        for key, text in write().items():
            print(f"{key:45} {text}")
    except InvalidStore as error:
        sys.exit(str(error))
