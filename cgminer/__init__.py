"""Talk to Bitcoin miners over the CGMiner API (TCP 4028) or Whatsminer's API 3 (TCP 4433) and say what they reported.

The package knows nothing of Django or of HashInsight's database: the server's poller and the edge collector share it.
"""
