"""Puts `edge_collector` and the part of `cgminer` that it uses into a wheel and into a zipapp.

Both are written with the standard library: a wheel is a zip with a list of its files, and neither a build tool nor a network is needed.
The same sources give the same bytes.
"""

from __future__ import annotations

import base64
import hashlib
import stat
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from edge_collector import __version__  # noqa: E402 - the path is set just above

NAME: Final = "edge_collector"
LEFT_OUT: Final = ("cgminer/simulator/",)
"""Simulated miners are for tests."""
_EPOCH: Final = (2026, 1, 1, 0, 0, 0)
_METADATA: Final = f"""Metadata-Version: 2.1
Name: edge-collector
Version: {__version__}
Summary: Reads a farm's Bitcoin miners on its LAN and brings what they say to HashInsight
License: Apache-2.0
Requires-Python: >=3.11
Provides-Extra: whatsminer
Requires-Dist: cryptography>=42; extra == "whatsminer"
Provides-Extra: fast
Requires-Dist: orjson>=3.9; extra == "fast"
Description-Content-Type: text/markdown

"""
_WHEEL: Final = "Wheel-Version: 1.0\nGenerator: build-collector\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
_MAIN: Final = "import sys\n\nfrom edge_collector.cli import main\n\nsys.exit(main())\n"


def main() -> None:
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    sources = _sources()
    for made in (_wheel(target, sources), _zipapp(target, sources)):
        print(f"{made} ({made.stat().st_size / 1000:.0f} kB)")


def _sources() -> dict[str, bytes]:
    paths = sorted(path for package in ("edge_collector", "cgminer") for path in (ROOT / package).rglob("*.py"))
    named = {path.relative_to(ROOT).as_posix(): path for path in paths}
    return {name: path.read_bytes() for name, path in named.items() if not name.startswith(LEFT_OUT)}


def _wheel(target: Path, sources: Mapping[str, bytes]) -> Path:
    path = target / f"{NAME}-{__version__}-py3-none-any.whl"
    folder = f"{NAME}-{__version__}.dist-info"
    files = {
        **sources,
        f"{folder}/LICENSE": (ROOT / "LICENSE").read_bytes(),
        f"{folder}/METADATA": _METADATA.encode() + (ROOT / "docs" / "edge_collector.md").read_bytes(),
        f"{folder}/WHEEL": _WHEEL.encode(),
        f"{folder}/entry_points.txt": b"[console_scripts]\nedge-collector = edge_collector.cli:main\n",
    }
    record = "".join(f"{name},sha256={_digest(content)},{len(content)}\n" for name, content in files.items())
    _zip(path, {**files, f"{folder}/RECORD": f"{record}{folder}/RECORD,,\n".encode()})
    return path


def _zipapp(target: Path, sources: Mapping[str, bytes]) -> Path:
    path = target / "edge-collector.pyz"
    _zip(path, {"__main__.py": _MAIN.encode(), **sources, "LICENSE": (ROOT / "LICENSE").read_bytes()}, head=b"#!/usr/bin/env python3\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
    return path


def _zip(path: Path, files: Mapping[str, bytes], *, head: bytes = b"") -> None:
    with path.open("wb") as file:
        file.write(head)
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in files.items():
                entry = zipfile.ZipInfo(name, _EPOCH)
                entry.external_attr = 0o644 << 16
                entry.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(entry, content)


def _digest(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


if __name__ == "__main__":
    main()
