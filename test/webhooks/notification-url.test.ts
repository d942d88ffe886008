import { expect, it } from '@jest/globals';
import { notificationUrl } from '../../src/webhooks/notification-url.ts';
import { specificationFor } from '../../src/webhooks/specification.ts';

const service = 'https://api.example.com';

it.each([
  ['a public name', 'https://omnera.example.com', service, true],
  ['a public address', 'https://203.0.113.7', service, true],
  ['a laptop, for the real service', 'http://localhost:4000', service, false],
  ['a laptop, for a sandbox beside it', 'http://localhost:4000', 'http://127.0.0.1:4001', true],
  ['IPv6 loopback', 'http://[::1]:4000', service, false],
  ['a name below localhost', 'http://omnera.localhost', service, false],
  ['a private address', 'http://192.168.1.20:4000', service, false],
  [
    'a private address, for a service in the same network',
    'http://192.168.1.20:4000',
    'http://10.0.0.3',
    true,
  ],
  ['a laptop, for a service in the network', 'http://localhost:4000', 'http://10.0.0.3', false],
  ['a private range that only looks like one', 'https://172.32.0.1', service, true],
  ['a carrier-grade address', 'http://100.64.0.1', service, false],
  ['a link-local address', 'http://169.254.1.1', service, false],
  ['a unique local IPv6 address', 'http://[fd12::1]', service, false],
  ['a single label', 'http://server:4000', service, false],
  ['a name of the local network', 'http://omnera.internal', service, false],
  ['this machine, with the dot of the root', 'http://localhost.:4000', service, false],
  ['all addresses of this machine', 'http://0.0.0.0:4000', service, false],
  ['all IPv6 addresses of this machine', 'http://[::]:4000', service, false],
  ['loopback, written as IPv6', 'http://[::ffff:127.0.0.1]:4000', service, false],
  ['loopback, written as one number', 'http://2130706433:4000', service, false],
  ['loopback of another number', 'http://127.9.9.9', service, false],
  ['10/8', 'http://10.255.0.1', service, false],
  ['the beginning of 172.16/12', 'http://172.16.0.1', service, false],
  ['the end of 172.16/12', 'http://172.31.255.254', service, false],
  ['the end of carrier-grade addresses', 'http://100.127.255.254', service, false],
  ['what follows carrier-grade addresses', 'http://100.128.0.1', service, true],
  ['benchmark addresses', 'http://198.19.0.1', service, false],
  ['a private address, written as IPv6', 'http://[::ffff:192.168.0.7]', service, false],
  ['a link-local IPv6 address', 'http://[fe80::1]', service, false],
  ['a site-local IPv6 address', 'http://[fec0::1]', service, false],
  ['a local NAT64 address', 'http://[64:ff9b:1::1]', service, false],
  ['a public IPv6 address', 'http://[2001:4860::8888]', service, true],
  ['a public name that begins like a private address', 'https://10.example.com', service, true],
  ['a public name that begins like localhost', 'https://localhost.example.com', service, true],
  ['a laptop, for a sandbox by its name', 'http://127.0.0.1:4000', 'http://localhost:4001', true],
  ['a laptop, for a sandbox below localhost', 'http://localhost:4000', 'http://calendly.localhost', true],
  ['a public server, for a service in its network', 'https://omnera.example.com', 'http://10.0.0.3', true],
])('can be reached, or not: %s', (_, publicUrl, apiUrl, reachable) => {
  expect(notificationUrl('id', { publicUrl, publicUrlIsChosen: true, apiUrl })).toBe(
    reachable ? `${publicUrl}/webhooks/calendly/id` : null,
  );
});

it('is only guessed for an upstream that is as near as we are', () => {
  const guessed = (publicUrl: string, apiUrl: string) =>
    notificationUrl('id', { publicUrl, publicUrlIsChosen: false, apiUrl });
  expect(guessed('http://203.0.113.7:4000', service)).toBeNull();
  expect(guessed('http://localhost:4000', 'http://localhost:4001')).not.toBeNull();
  expect(guessed('http://192.168.1.20:4000', 'http://10.0.0.3')).not.toBeNull();
});

it('asks for what the scopes allow, with all cells and the values before', () => {
  const includes = { includeCellValuesInFieldIds: 'all', includePreviousCellValues: true };
  expect(specificationFor(['webhook:manage', 'data.records:read'])).toEqual({
    options: { filters: { dataTypes: ['tableData'] }, includes },
  });
  expect(specificationFor(['schema.bases:read', 'data.records:read']).options.filters.dataTypes).toEqual([
    'tableData',
    'tableFields',
    'tableMetadata',
  ]);
});
