"""What the cluster runs for the inventory."""

from __future__ import annotations

from miners import imports, searches


def run_import(pk: int) -> str:
    return imports.run(pk)


def run_search(pk: int) -> str:
    return searches.run(pk)
