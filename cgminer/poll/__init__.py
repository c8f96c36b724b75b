"""Read thousands of miners in one round, from one thread."""

from cgminer.poll.policy import Outcome, RoundPolicy, Target, due_this_round
from cgminer.poll.rounds import poll_in_batches, poll_round
from cgminer.poll.search import search

__all__ = ["Outcome", "RoundPolicy", "Target", "due_this_round", "poll_in_batches", "poll_round", "search"]
