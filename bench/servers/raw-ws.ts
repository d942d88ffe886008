import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { WebSocketServer } from 'ws';
import { moment } from '../moment.ts';
import { answer } from './answers.ts';
import { memoryInUse } from './memory.ts';
import { serve } from './serve.ts';

const text = 0x81;
const longLength = 126;
const acknowledgement = JSON.stringify({ type: 'connection_ack' });
const sockets = new Set<Duplex>();

/** The floor: `ws`, which knows no GraphQL, and one frame that is made once and written to every socket. */
serve(async () => {
  const http = createServer();
  const server = new WebSocketServer({ server: http, perMessageDeflate: false });
  server.on('connection', (client, { socket }) => {
    client.once('message', () => {
      client.send(acknowledgement);
      client.once('message', () => {
        sockets.add(socket);
        socket.once('close', () => sockets.delete(socket));
      });
    });
  });
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  return { url: `http://127.0.0.1:${(http.address() as AddressInfo).port}/graphql`, headers: {} };
});

answer({
  subscribed: () => sockets.size,
  memory: memoryInUse,
  publish(given) {
    const message = Buffer.from((given as { message: string }).message);
    const at = moment();
    const head = Buffer.from([text, longLength, message.length >> 8, message.length & 0xff]);
    const frame = Buffer.concat([head, message]);
    for (const socket of sockets) socket.write(frame);
    return at;
  },
});
