"""Starts what the tests run against. Loaded by pytest before Django's settings are read."""
