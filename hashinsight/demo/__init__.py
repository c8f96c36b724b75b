"""The demo: a simulated farm of three sites on one machine, looked at through the real product.

    north   polled by the server over TCP, from the simulator
    fjord   read by the edge collector and uploaded over HTTP with a real key
    steppe  still empty

Simulator and collector are programs under the same supervisor as the web server and the cluster.
"""
