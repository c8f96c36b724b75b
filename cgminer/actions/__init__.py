"""Carrying out one command type on one miner, in the words of its firmware."""

from cgminer.actions.control import Done, carry_out
from cgminer.actions.dialects import Dialect, dialect_of_answer, dialect_of_report, supported, why_not

__all__ = ["Dialect", "Done", "carry_out", "dialect_of_answer", "dialect_of_report", "supported", "why_not"]
