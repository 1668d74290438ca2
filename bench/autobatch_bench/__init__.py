"""Load, reports and the upstreams they run against, over HTTP only.

- `load`: the requests (`workloads`) and how they are sent: in a closed loop, an open loop, or a burst.
- `checking`: whether each answer is right.
- `systems`: the processes under test, the fake upstreams, and `rig`, which runs load on a system.
- `comparing`: rounds of load, which rounds to run, and the targets that judge them.
- `report`, `commands`: how results are shown, and the commands of `autobatch bench`.
"""
