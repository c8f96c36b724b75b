"""A real Prometheus (Debian's package) that scrapes one server each second and evaluates the rules in deploy/."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import requests
import yaml

from tests.servers import Server, die_with_parent
from tests.web import ROOT

PROGRAM = Path("/usr/bin/prometheus")
PROMTOOL = Path("/usr/bin/promtool")
MISSING = "apt-get install prometheus"
DEPLOYED = ROOT / "deploy" / "prometheus"


class PrometheusServer(Server):
    """The configuration in deploy/, with another target and a shorter interval."""

    name = "prometheus"

    def __init__(self, directory: Path, *, target: str) -> None:
        super().__init__(directory)
        configuration = yaml.safe_load((DEPLOYED / "prometheus.yml").read_text())
        configuration["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        configuration["rule_files"] = [str(DEPLOYED / "hashinsight.rules.yml")]
        configuration["scrape_configs"][0]["static_configs"] = [{"targets": [target]}]
        (directory / "prometheus.yml").write_text(yaml.safe_dump(configuration))

    def _spawn(self, log: int) -> subprocess.Popen[bytes]:
        options = {
            "config.file": self.directory / "prometheus.yml",
            "storage.tsdb.path": self.directory / "series",
            "web.listen-address": f"127.0.0.1:{self.port}",
        }
        command = [str(PROGRAM), *(f"--{name}={value}" for name, value in options.items())]
        return subprocess.Popen(command, stdout=log, stderr=log, cwd=self.directory, preexec_fn=die_with_parent(self.death_signal))

    def _answers(self) -> bool:
        try:
            return requests.get(f"http://127.0.0.1:{self.port}/-/ready", timeout=2).status_code == 200
        except requests.RequestException:
            return False

    def ask(self, path: str, **parameters: str) -> Any:
        """The `data` of its API's answer."""
        answer = requests.get(f"http://127.0.0.1:{self.port}/api/v1/{path}", params=parameters, timeout=10).json()
        assert answer["status"] == "success", answer
        return answer["data"]

    def value(self, expression: str) -> float | None:
        """Of an expression with one series; None while there is none."""
        found = self.ask("query", query=expression)["result"]
        return float(found[0]["value"][1]) if found else None
