// A device on MQTT.js: publishes COUNT numbered readings and waits for each to be done.
//   node mqttjs_client.js PORT VERSION QOS COUNT FIRST USER PASSWORD CA CERT KEY     "-" for what is not wanted
const fs = require('fs')
const mqtt = require('mqtt')
const [port, version, qos, count, first] = process.argv.slice(2, 7).map(Number)
const [user, password, ca, cert, key] = process.argv.slice(7).map(word => word === '-' ? undefined : word)
const read = path => path && fs.readFileSync(path)
const client = mqtt.connect(ca ? 'mqtts://localhost' : 'mqtt://127.0.0.1', {
  port, protocolVersion: version, clientId: 'mqttjs', username: user, password, ca: read(ca), cert: read(cert), key: read(key),
  reconnectPeriod: 0, properties: version === 5 ? {} : undefined
})
let done = 0
const fail = why => { console.error(String(why)); process.exit(1) }
client.on('error', fail)
client.on('close', () => done < count && fail('closed'))
client.on('connect', () => {
  for (let i = 0; i < count; i++) {
    client.publish('t/d1/temp', JSON.stringify({ value: first + i, sequence: first + i }), { qos }, error => {
      if (error) fail(error)
      if (++done === count) client.end()
    })
  }
})
