#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""
What cmemctl knows of blocks and pools, for the textfile collector of Prometheus's node_exporter.
Run it as root every minute or so, from a timer or from cron:

    cd /var/lib/prometheus/node-exporter && cmemctl info --json |
        node-exporter.py >cmem.prom.new && mv cmem.prom.new cmem.prom
"""
import json
import sys

info = json.loads(sys.stdin.read().strip() or "{}")
if "blocks" not in info:
    sys.exit(f"node-exporter.py: wants what 'cmemctl info --json' prints, not {info}")
metrics = {}
for block in info["blocks"]:
    of_block = f'block="{block["block"]}",kind="{block["kind"]}"'
    for name, value in {"size": block["length"], "free": block["free"],
                        "heap_size": block["heap"]["size"], "heap_free": block["heap"]["free"],
                        "heap_largest_free": block["heap"]["largest"],
                        "quarantined": block["quarantine"]["bytes"],
                        "pinned": block["pinned"]["bytes"],
                        "failed": block["failed"]}.items():
        metrics.setdefault(f"cmem_block_{name}_bytes", {})[of_block] = value
    for pool in block["pools"]:
        of_pool = f'{of_block},pool="{pool["pool"]}",buffer_bytes="{pool["length"]}"'
        for name, value in {"": pool["count"], "_free": pool["free"], "_failed": pool["failed"],
                            "_quarantined": pool["quarantined"],
                            "_pinned": pool["pinned"]}.items():
            metrics.setdefault(f"cmem_pool_buffers{name}", {})[of_pool] = value
for name, samples in metrics.items():
    print(f"# TYPE {name} gauge", *(f"{name}{{{of}}} {n}" for of, n in samples.items()), sep="\n")
