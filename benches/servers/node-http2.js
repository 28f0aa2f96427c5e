// A typical simple server for comparison: Node's http2 module, JSON that names the pod, and calls of gRPC, whose message is sent
// back.
const http2 = require('node:http2');
const os = require('node:os');

const server = http2.createServer();
server.on('stream', (stream, headers) => {
  stream.on('error', () => {});
  if (headers['content-type']?.startsWith('application/grpc')) {
    const received = [];
    stream.on('data', (data) => received.push(data));
    stream.on('end', () => {
      stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
      stream.end(Buffer.concat(received));
    });
    return;
  }
  stream.respond({ ':status': 200, 'content-type': 'application/json' });
  stream.end(JSON.stringify({ message: 'Hello from Node', hostname: os.hostname() }));
});
server.listen(Number(process.env.PORT ?? 3000));
process.on('SIGTERM', () => process.exit(0));
