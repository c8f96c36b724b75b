"""The edge collector: reads a farm's miners on its LAN, keeps what they said on disk, and brings it to HashInsight.

It knows no Django and no database server; of the project it imports `cgminer` alone, so that it installs by itself.
"""

__version__ = "0.1.0"
