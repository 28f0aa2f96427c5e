// Prints autocannon's own tables for the data beside this file: `npm install autocannon@9.0.0`, then
// `node generate.js`. The tests compare Evenkeel's tables for the same data with what this writes.
'use strict'

const fs = require('fs')
const path = require('path')
const { createRequire } = require('module')
const from = createRequire(path.join(process.cwd(), 'x.js'))
const autocannon = from('autocannon')
const aggregateResult = from('autocannon/lib/aggregateResult')
const { encodeHist, getHistograms } = from('autocannon/lib/histUtil')
const hdr = from('hdr-histogram-js')

// Five digits, so that autocannon's own rounding of counts does not show: Evenkeel keeps them exactly.
const exact = () => hdr.build({
  useWebAssembly: true, bitBucketSize: 64, autoResize: true,
  lowestDiscernibleValue: 1, highestTrackableValue: 100000000000, numberOfSignificantValueDigits: 5
})

for (const file of fs.readdirSync(__dirname).filter((name) => name.endsWith('.json'))) {
  const data = JSON.parse(fs.readFileSync(path.join(__dirname, file)))
  const { latencies, requests, throughput } = getHistograms({ requests: exact(), throughput: exact() })
  for (const [ms, count] of data.latencies_ms) for (let i = 0; i < count; i++) latencies.recordValue(ms)
  for (const [count, bytes] of data.seconds) { requests.recordValue(count); throughput.recordValue(bytes) }
  const sum = (at) => data.seconds.reduce((total, second) => total + second[at], 0)
  const one = {
    latencies: encodeHist(latencies), requests: encodeHist(requests), throughput: encodeHist(throughput),
    totalCompletedRequests: sum(0), totalRequests: data.sent, totalBytes: sum(1), samples: data.seconds.length,
    errors: data.errors, timeouts: data.timeouts, mismatches: 0, resets: 0, statusCodeStats: {},
    '1xx': 0, '2xx': data['2xx'], '3xx': 0, '4xx': 0, '5xx': data.non2xx, non2xx: data.non2xx,
    duration: data.duration, start: new Date(0), finish: new Date(0)
  }
  const result = aggregateResult(one, { sampleInt: 1000, connections: 30 }, { requests, throughput })
  const text = autocannon.printResult(result, { outputStream: { isTTY: false } })
  fs.writeFileSync(path.join(__dirname, file.replace('.json', '.txt')), text)
}
