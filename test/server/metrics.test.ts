import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { control, startTestApp, type TestApp } from '../support/app.ts';
import { Subscriber, until } from '../changes/subscriber.ts';
import { addContacts, crm } from '../changes/upstream-edits.ts';

let app: TestApp;
let connection: number;
/** Before and after the main job: reading, writing, subscribing, and what goes wrong on the way. */
let before: Series;
let text: string;
let after: Series;

type Series = Map<string, number>;

const docs = readFileSync(new URL('../../docs/metrics.md', import.meta.url), 'utf8');
const prefix = 'omnera_calendly_';

/** Name, type and labels with all their values, as the table of the documentation has them. */
const documented = [...docs.matchAll(/^\| `(\w+)` \| (\w+) \| ([^|]*)\|/gm)].map(
  ([, name = '', type = '', labels = '']) => ({
    name,
    type,
    labels: new Map(
      [...labels.matchAll(/`(\w+)`: ([^;]+)/g)].map(([, label = '', values = '']) => [
        label,
        values.split(',').map((value) => value.trim()),
      ]),
    ),
  }),
);
const endpoints = documented
  .find(({ name }) => name.endsWith('upstream_calls_total'))!
  .labels.get('endpoint')!;
for (const { labels } of documented) {
  for (const [label, values] of labels) if (values[0] === 'as above') labels.set(label, endpoints);
}

async function scrape(): Promise<string> {
  return (await fetch(`${app.url}/metrics`)).text();
}

function seriesIn(scraped: string): Series {
  return new Map(
    [...scraped.matchAll(/^(omnera_\S+(?: \S+)*) (\S+)$/gm)].map(([, name = '', value]) => [
      name,
      Number(value),
    ]),
  );
}

const rise = (name: string): number => (after.get(prefix + name) ?? NaN) - (before.get(prefix + name) ?? NaN);

beforeAll(async () => {
  app = await startTestApp();
  before = seriesIn(await scrape());
  connection = await app.connect();
  const place = { connection, ...crm };
  const read = () =>
    app.graphql(
      `query ($connection: Int!, $baseId: String!, $tableId: String!) { base(connection: $connection, baseId: $baseId) { table(id: $tableId) { records(first: 1) { nodes { id } } } } }`,
      place,
    );
  await read();
  await control(app.sandbox.url, 'faults', {
    match: { method: 'GET', path: '/v0/appABC123/**' },
    kind: 'status',
    status: 403,
    times: 1,
  });
  expect((await read()).errors).toHaveLength(1);
  await app.graphql('{ __typename }', {}, { key: 'a-wrong-key' });
  const subscriber = await new Subscriber(app, { connection, baseId: crm.baseId }).started();
  await addContacts(app, 1);
  await until(() => subscriber.changes.length === 1);
  await app.graphql(`mutation ($id: Int!) { rotateTokens(input: { connection: $id }) { __typename } }`, {
    id: connection,
  });
  const [webhook] = await app.database.query('SELECT id FROM webhooks');
  const ping = (id: string, body: string) =>
    fetch(`${app.url}/webhooks/calendly/${id}`, { method: 'POST', body });
  await ping(String(webhook?.id), 'forged');
  await ping('nobody', 'stray');
  await ping('nobody', 'x'.repeat(20_000));
  text = await scrape();
  after = seriesIn(text);
  await subscriber.cut();
});
afterAll(() => app.close());

test('the documentation names every metric with its type and the values of its labels, and no other', () => {
  const types = [...text.matchAll(/^# TYPE (omnera_\w+) (\w+)$/gm)].map(([, name, type]) => ({ name, type }));
  const byName = (a: { name?: string }, b: { name?: string }) => (a.name! < b.name! ? -1 : 1);
  expect(types.sort(byName)).toEqual(documented.map(({ name, type }) => ({ name, type })).sort(byName));

  const shown = new Set<string>();
  for (const name of after.keys()) {
    const [, metric = '', labels = ''] = /^(\w+?)(?:_bucket|_sum|_count)?(?:\{(.*)\})?$/.exec(name) ?? [];
    for (const [, label = '', value = ''] of labels.matchAll(/(\w+)="([^"]*)"/g))
      if (label !== 'le') shown.add(`${metric} ${label} ${value}`);
  }
  const expected = documented.flatMap(({ name, labels }) =>
    [...labels].flatMap(([label, values]) => values.map((value) => `${name} ${label} ${value}`)),
  );
  expect([...shown].sort()).toEqual(expected.sort());
});

test('the rules of the documentation ask for metrics that there are, each of them at least once', () => {
  const rules = docs.slice(docs.indexOf('```yaml'));
  const asked = [...rules.matchAll(/omnera_calendly_\w+/g)].map(([name]) => name.replace(/_bucket$/, ''));
  expect([...new Set(asked)].sort()).toEqual(documented.map(({ name }) => name).sort());
});

test('what was done is what was counted', () => {
  expect(rise('operations_total{type="query",outcome="errors"}')).toBe(1);
  expect(rise('operations_total{type="subscription",outcome="ok"}')).toBe(1);
  expect(rise('operations_total{type="mutation",outcome="ok"}')).toBe(3);
  expect(rise('operation_duration_seconds_count{type="mutation"}')).toBe(3);
  expect(rise('upstream_calls_total{endpoint="list_records",outcome="ok"}')).toBe(1);
  expect(rise('upstream_calls_total{endpoint="list_records",outcome="refused"}')).toBe(1);
  expect(rise('upstream_calls_total{endpoint="create_webhook",outcome="ok"}')).toBe(1);
  expect(rise('upstream_call_duration_seconds_count{endpoint="list_records"}')).toBe(2);
  expect(rise('token_refreshes_total{outcome="renewed"}')).toBe(1);
  expect(rise('webhook_pings_total{outcome="accepted"}')).toBeGreaterThan(0);
  expect(rise('webhook_pings_total{outcome="forged"}')).toBe(1);
  expect(rise('webhook_pings_total{outcome="unknown"}')).toBe(1);
  expect(rise('webhook_pings_total{outcome="oversized"}')).toBe(1);
  expect(rise('changes_appended_total{kind="created"}')).toBe(1);
  expect(rise('change_lag_seconds_count')).toBe(1);
  expect(rise('wrong_keys_total')).toBe(1);
  expect(after.get(`${prefix}websockets_open`)).toBe(1);
  expect(after.get(`${prefix}subscriptions_open`)).toBe(1);
  expect(after.get(`${prefix}connections{state="connected"}`)).toBe(1);
  expect(rise('upstream_calls_total{endpoint="other",outcome="ok"}')).toBe(0);
});

test('a subscription that has ended is no longer counted', async () => {
  await until(async () => seriesIn(await scrape()).get(`${prefix}subscriptions_open`) === 0);
  await until(async () => seriesIn(await scrape()).get(`${prefix}websockets_open`) === 0);
});

test('no secret, and no id of a caller, base or connection, is among the metrics', async () => {
  const { issued } = await control<{ issued: { value: string }[] }>(app.sandbox.url, 'issued');
  for (const { value } of issued) expect(text).not.toContain(value);
  for (const told of [app.adminKey, 'a-wrong-key', crm.baseId, 'key:', 'Connection '])
    expect(text).not.toContain(told);
});
