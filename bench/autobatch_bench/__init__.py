"""Load, reports and the upstreams they run against, over HTTP only.

What is sent: `words`, `workloads`. How: `closed_loop`, `open_loop` with `arrivals`, `burst`, all on `connection` and
`traffic`. Whether the answers are right: `oracle`, `checking`. On what: `system`, and the fakes `instant_upstream` and
`tei_queue_upstream`. `rig` runs load on a system and makes `rounds` of it. `comparing`, `target_runs` and
`target_systems` say what is run; `grids`, `plots`, `page` and `terminal` show it; `targets` judges it.
"""
