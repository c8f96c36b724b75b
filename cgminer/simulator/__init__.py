"""Simulated miners that answer the CGMiner API on loopback, in several makers' words."""

from cgminer.simulator.control import ControlEvent
from cgminer.simulator.fleet import FleetError, SimulatedFleet
from cgminer.simulator.spec import COMMON_MIX, MinerSpec, State, build_fleet, write_inventory

__all__ = ["COMMON_MIX", "ControlEvent", "FleetError", "MinerSpec", "SimulatedFleet", "State", "build_fleet", "write_inventory"]
