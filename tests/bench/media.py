#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""CPU per relayed packet, beside rtpengine in user space: both up at once, visited in turn, one core for the relay and one for rtpgen.

  media.py --bin BUILD/tests/bench [--calls 500,1000] [-d 10] [--rounds 2] [--gather] [--shared]

Prints a line per run and the ratios of medians. Nothing else may run on the machine.
"""
import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))


def pinned(cpu, command, log):
    return subprocess.Popen(["taskset", "-c", str(cpu), *command], stdout=log, stderr=log)


def start(o, name, calls, folder):
    """Returns (process, flow file)."""
    flows = os.path.join(folder, f"{name}.flows")
    log = open(os.path.join(folder, f"{name}.log"), "w")
    if name == "rtpengine":
        p = pinned(0, ["rtpengine", "--interface=127.0.0.1", "--listen-ng=127.0.0.1:27222", "--listen-cli=127.0.0.1:27223", "--table=-1", "--foreground", "--log-stderr",
                       "--log-level=3", "--port-min=40000", "--port-max=59998", "--num-threads=1"], log)
        time.sleep(1)
        try:
            subprocess.run([sys.executable, os.path.join(HERE, "rtpengine.py"), "--ng", "127.0.0.1:27222", "-n", str(calls), "-o", flows], check=True)
        except subprocess.CalledProcessError:
            p.kill()
            raise
    else:
        p = pinned(0, [os.path.join(o.bin, "relay"), "-n", str(calls), "-o", flows, "-b", {"postern": "20000", "gathered": "28000", "shared": "12000", "shared+g": "52000"}[name],
                       *(["-g"] if name in ("gathered", "shared+g") else []), *(["-s"] if name.startswith("shared") else [])], log)
        time.sleep(1.5)
    return p, flows


def measure(o, name, process, flows, folder):
    """One run; again where the machine disturbed it. None where it always did."""
    for _ in range(o.tries):
        r = subprocess.run([os.path.join(o.bin, "rtpgen"), "-f", flows, "-d", o.d, "-w", "1", "-c", "1", "-P", str(process.pid)],
                           check=True, capture_output=True, text=True)
        if process.poll() is not None:
            raise SystemExit(f"{name} ended: " + open(os.path.join(folder, f"{name}.log")).read())
        j = json.loads(r.stdout)
        valid = j["gen_lag_us"] < 20000 and j["loss_pct"] < 0.01 and j["p99_us"] < 20000
        print(f"{name:10s} {'' if valid else 'DISTURBED '}{r.stdout.strip()}", flush=True)
        if valid:
            return j
    return None


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--bin", required=True)
    p.add_argument("--calls", default="500,1000")
    p.add_argument("-d", default="10")
    p.add_argument("--rounds", type=int, default=2)
    p.add_argument("--tries", type=int, default=3, help="runs that the machine disturbed are repeated")
    p.add_argument("--shared", action="store_true", help="with shared sockets, too")
    p.add_argument("--gather", action="store_true", help="with wake-ups gathered, too")
    p.add_argument("--alone", action="store_true", help="without rtpengine")
    o = p.parse_args()
    names = ["postern"] + (["gathered"] if o.gather else []) + (["shared"] if o.shared else []) + (["shared+g"] if o.shared and o.gather else []) + ([] if o.alone else ["rtpengine"])
    for calls in map(int, o.calls.split(",")):
        cost = {n: [] for n in names}
        with tempfile.TemporaryDirectory() as folder:
            relays = {}
            try:
                for n in names:
                    relays[n] = start(o, n, calls, folder)
                for _ in range(o.rounds):
                    for n in names:
                        j = measure(o, n, *relays[n], folder)
                        if j:
                            cost[n].append(j["cpu_us_per_packet"])
            finally:
                for process, _ in relays.values():
                    process.send_signal(signal.SIGTERM)
                    process.wait()
        median = {n: statistics.median(c) for n, c in cost.items() if c}
        for n in median:
            if "rtpengine" in median:
                print(f"{calls * 100} packets/s: {n} {median[n]:.2f} us/packet, {median[n] / median['rtpengine']:.2f} x rtpengine")


if __name__ == "__main__":
    main()
