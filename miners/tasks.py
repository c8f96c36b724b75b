"""What the cluster runs for the inventory."""

from __future__ import annotations

from miners import imports


def run_import(pk: int) -> str:
    return imports.run(pk)
