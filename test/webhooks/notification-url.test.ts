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
])('can be reached, or not: %s', (_, publicUrl, apiUrl, reachable) => {
  expect(notificationUrl('id', publicUrl, apiUrl)).toBe(
    reachable ? `${publicUrl}/webhooks/calendly/id` : null,
  );
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
