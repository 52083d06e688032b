#!/usr/bin/env python3
"""make run: the whole system on this machine until Ctrl-C, with every alert as it arrives in the cloud.

WEIR_RUN_SECONDS ends it by itself. Exit 0 unless something broke."""
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from simulator.system import WEIR, System, Trouble, built, say  # noqa: E402

DEVICES = 50
FLEET = ["--devices", str(DEVICES), "--rate", "10", "--duration", "0s", "--clean-for", "25s", "--fault-every", "90s",
         "--faults", "spike,shift,stuck,noise,drift", "--late", "0.5%", "--reordered", "0.5%", "--repeated", "1%",
         "--malformed", "0.05%"]


def introduce(system):
    weir = os.path.relpath(WEIR)
    pki = system.path("pki")
    say(f"""
Weir runs: {DEVICES} devices -> TLS -> weir on port {system.device_port} -> TLS -> mosquitto on port {system.cloud_port} -> cloud

  look at the gateway   export WEIR_CONFIG={system.config}
                        {weir} status
                        {weir} devices
                        {weir} tail
                        {weir} alerts
                        {weir} device list
  publish by hand       mosquitto_pub -h localhost -p {system.device_port} --cafile {pki}/ca.crt \\
                            -u mine -P {system.add_device("mine")} -q 1 \\
                            -t telemetry/mine/temperature -m '{{"value": 21.5}}'
  listen in the cloud   mosquitto_sub -h localhost -p {system.cloud_port} --cafile {pki}/ca.crt \\
                            --cert {pki}/cloud.crt --key {pki}/cloud.key -i listener -t 'weir/+/alerts'
  socket, data, logs    {system.dir}

Devices are healthy for 25 s, while the gateway learns; then faults begin. Alerts, as they arrive in the cloud
(the time behind each counts from the reading that raised it):
""")


def main():
    built()
    seconds = float(os.environ.get("WEIR_RUN_SECONDS", "inf"))
    say("starting ...")
    try:
        with System(source="tls") as system:
            system.start_all("--print", cloud_stdout=sys.stdout)
            system.add_fleet(DEVICES)
            introduce(system)
            system.start_fleet(*FLEET)
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                system.check_alive()
                time.sleep(min(0.5, max(0.0, until - time.monotonic())))
            say("\nstopping ...")
    except KeyboardInterrupt:
        say("\nstopped")
    except Trouble as trouble:
        say(f"FAILED: {trouble}")
        return 1
    return 0


sys.exit(main())
