from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from cgminer.address import DEFAULT_PORT
from miners.discovery import DiscoveryPlan, Finding, Scan, UnusableRange, addresses_in, apply_discovery, left_out_of, plan_discovery, scan
from miners.management.tables import progress_bar, table
from sites.management.sites import site_by_code

COLUMNS = ("", "address", "miner", "model", "firmware", "was at")


class Command(BaseCommand):
    help = (
        "Search address ranges for miners and bring the inventory of a site up to date: new ones are added, those that moved (by serial "
        "number, MAC address or worker) get their new address. What does not answer as a miner is left alone."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("ranges", nargs="+", metavar="CIDR", help="such as 10.1.0.0/22; at most 65,536 addresses together")
        parser.add_argument("--site", required=True, metavar="CODE")
        parser.add_argument("--port", type=int, default=DEFAULT_PORT, help="port of the miners' API (default: %(default)s)")
        parser.add_argument("--dry-run", action="store_true", help="say what would be done and change nothing")

    def handle(self, *, ranges: list[str], site: str, port: int, dry_run: bool, **options: Any) -> None:
        chosen = site_by_code(site)
        if not 0 < port < 65_536:
            raise CommandError("--port must be a number from 1 to 65535.")
        try:
            addresses, left_out = addresses_in(ranges, port=port), left_out_of(ranges)
        except UnusableRange as error:
            raise CommandError(str(error)) from error
        if left_out:
            places = ", ".join(address.host for address in left_out)
            self.stdout.write(
                f"Not asked: {places}, this server itself. Where simulated miners run on it, set HASHINSIGHT_LOCAL_MINERS=true."
            )
        with progress_bar() as progress:
            bar = progress.add_task("searching", total=len(addresses), found=0)
            result = scan(addresses, progress=lambda found: progress.update(bar, advance=1, found=found))
        plan = plan_discovery(chosen, result.found)
        if not dry_run:
            apply_discovery(plan)
        self._report(plan, result, addresses=len(addresses), would="would be " if dry_run else "")

    def _report(self, plan: DiscoveryPlan, result: Scan, *, addresses: int, would: str) -> None:
        if plan.findings:
            self.stdout.write(table(COLUMNS, [_row(word, finding) for word, finding in plan.findings]))
        for miner in plan.displaced:
            self.stdout.write(f"{miner.miner_id}: another machine has its address; where it is now is not known.")
        if result.denied:
            places = ", ".join(map(str, result.denied[:10])) + (" …" if len(result.denied) > 10 else "")
            self.stdout.write(
                f"{len(result.denied)} hang up at once: {places}. If these are miners, allow this machine in their API settings."
            )
        counts = f"{len(plan.new)} {would}added, {len(plan.moved)} {would}moved, {len(plan.known)} known"
        self.stdout.write(f"Site {plan.site.code}: {len(result.found)} miners at {addresses} addresses; {counts}.")


def _row(word: str, finding: Finding) -> tuple[object, ...]:
    model = finding.found.model or (finding.miner.model.name if finding.miner.model else "")
    return (word, finding.found.address, finding.miner.miner_id, model, finding.found.firmware, finding.before)
