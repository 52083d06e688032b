"""An example of a device that publishes to Weir: MicroPython and umqtt.simple. What it promises and why: devices.md.

It speaks MQTT 3.1.1, so a PUBACK has no reason code: it means stored, or kept as a dead letter. `publish` at QoS 1 waits
for it, about `commit.max_age` and a write to disk; so several readings go into one message."""
import json
import random
import time

from umqtt.simple import MQTTClient

WAIT_MIN_S, WAIT_MAX_S = 1, 60
READINGS_MAX = 200  # kept while there is no connection; then the oldest is lost, which is ours to decide
PER_MESSAGE = 20
EPOCH_S = 946684800 if time.gmtime(0)[0] == 2000 else 0  # MicroPython on many boards counts from 2000


class Device:
    def __init__(self, name, password, server, port, tls=None):
        self.name, self.server = name, (server, port)
        self.password, self.tls = password, tls
        self.client = None
        self.waiting = []  # readings that are in no message yet
        self.message = None  # the one under way, as bytes: sent again exactly so
        self.sequence = 1  # from 1 at each start: Weir sees by the time that we began anew
        self.wait_s = WAIT_MIN_S

    def read(self, metric, value):
        """Keep a reading. Its time is the sensor's, not that of sending."""
        if len(self.waiting) == READINGS_MAX:
            self.waiting.pop(0)
        self.waiting.append({"m": metric, "v": value, "t": time.time() + EPOCH_S})

    def connect(self):
        self.client = MQTTClient(self.name, self.server[0], port=self.server[1], user=self.name,
                                 password=self.password, keepalive=60, ssl=self.tls)
        self.client.connect()
        self.wait_s = WAIT_MIN_S

    def lost(self):
        """Full jitter: when a gateway comes back, a thousand devices must not come at once."""
        if self.client is not None:
            try:
                self.client.sock.close()
            except (OSError, AttributeError):
                pass
        self.client = None
        time.sleep(random.random() * self.wait_s)
        self.wait_s = min(self.wait_s * 2, WAIT_MAX_S)

    def next_message(self):
        if self.message is None and self.waiting:
            some, self.waiting = self.waiting[:PER_MESSAGE], self.waiting[PER_MESSAGE:]
            self.message = json.dumps({"seq": self.sequence, "readings": some}).encode()
        return self.message

    def send(self):
        """One message, acknowledged. False: not now; call again."""
        if self.next_message() is None:
            return True
        try:
            if self.client is None:
                self.connect()
            self.client.publish("batch/" + self.name, self.message, qos=1)
        except (OSError, IndexError):  # umqtt has IndexError for a connection that ends within an answer
            self.lost()
            return False
        self.message = None
        self.sequence += 1
        return True


def main():
    import machine
    import ntptime
    import ssl
    ntptime.settime()  # without a clock leave "t" out: the time of arrival counts then
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    tls.verify_mode = ssl.CERT_REQUIRED
    tls.load_verify_locations(cafile="ca.der")
    with open("password") as f:
        device = Device("boiler-1", f.read().strip(), "gateway.example.org", 8883, tls)
    adc = machine.ADC(0)
    while True:
        device.read("temperature", adc.read_u16() * 3.3 / 65535 * 100)
        device.send()
        time.sleep(1)


if __name__ == "__main__":
    main()
