// A typical simple server for comparison: Node's http module, and JSON that names the pod.
const http = require('node:http');
const os = require('node:os');

const server = http.createServer((request, response) => {
  response.writeHead(200, { 'Content-Type': 'application/json' });
  response.end(JSON.stringify({ message: 'Hello from Node', hostname: os.hostname() }));
});
server.listen(Number(process.env.PORT ?? 3000));
process.on('SIGTERM', () => process.exit(0));
