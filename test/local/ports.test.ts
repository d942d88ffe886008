import { afterEach, expect, test } from '@jest/globals';
import { once } from 'node:events';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { portFor } from '../../src/local/ports.ts';

const servers: Server[] = [];

afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => new Promise((resolve) => server.close(resolve))));
});

test('a default that is taken gives way to a free port', async () => {
  const taken = await takenPort();
  const port = await portFor({ port: taken, isChosen: false, variable: 'PORT' }, 'localhost');
  expect(port).not.toBe(taken);
  expect(port).toBeGreaterThan(0);
});

test('two wishes for any port get two different ones', async () => {
  const first = await portFor({ port: 0, isChosen: true, variable: 'PORT' }, 'localhost', [0]);
  expect(await portFor({ port: 0, isChosen: true, variable: 'SANDBOX_PORT' }, 'localhost', [first])).not.toBe(
    first,
  );
});

test('a default that is free, yet promised to somebody else, gives way too', async () => {
  const free = await portFor({ port: 0, isChosen: true, variable: 'PORT' }, 'localhost');
  const port = await portFor({ port: free, isChosen: false, variable: 'SANDBOX_PORT' }, 'localhost', [free]);
  expect(port).not.toBe(free);
});

test('a chosen port that is taken is refused, naming the port and the variable', async () => {
  const taken = await takenPort();
  await expect(portFor({ port: taken, isChosen: true, variable: 'PORT' }, '127.0.0.1')).rejects.toThrow(
    `PORT: port ${taken} on 127.0.0.1 is taken.`,
  );
});

test('a chosen port that is free is used', async () => {
  const free = await portFor({ port: 0, isChosen: true, variable: 'PORT' }, 'localhost');
  expect(await portFor({ port: free, isChosen: true, variable: 'PORT' }, 'localhost')).toBe(free);
});

async function takenPort(): Promise<number> {
  const server = createServer();
  servers.push(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}
