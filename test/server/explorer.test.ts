import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { createHash } from 'node:crypto';
import { startTestApp, type TestApp } from '../support/app.ts';

let app: TestApp;
let page: { html: string; headers: Headers };
beforeAll(async () => {
  app = await startTestApp();
  const response = await fetch(`${app.url}/graphql`, { headers: { accept: 'text/html' } });
  page = { html: await response.text(), headers: response.headers };
});
afterAll(() => app.close());

function directive(name: string): string[] {
  const found = (page.headers.get('content-security-policy') ?? '')
    .split(';')
    .map((part) => part.trim().split(' '))
    .find(([given]) => given === name);
  return found?.slice(1) ?? [];
}

const exchange = (code: string, headers: Record<string, string> = {}) =>
  fetch(`${app.url}/explorer/key`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ code }),
  });

test('the page needs nothing from any other host', () => {
  expect(page.headers.get('content-type')).toMatch(/^text\/html/);
  // Strings and comments of the bundled script may hold addresses and tags; the document around it must not.
  const markup = page.html
    .replace(/"data:[^"]*"/g, '"data:"')
    .replace(/<script>[\s\S]*<\/script>/, '<script></script>')
    .replace(/<style>[\s\S]*?<\/style>/g, '<style></style>');
  expect(markup.length).toBeLessThan(5_000);
  expect(markup).not.toMatch(/<script[^>]+src=|<iframe|<img[^>]+src=["']?(?!data:)|<base/i);
  for (const [, address = ''] of markup.matchAll(/(?:href|src)=["']?([^"'\s>]+)/g))
    expect(address).toMatch(/^(data:|\/|#)/);
  for (const [, css = ''] of page.html
    .replace(/<script>[\s\S]*<\/script>/, '')
    .matchAll(/<style>([\s\S]*?)<\/style>/g)) {
    expect(css).not.toMatch(/@import|url\(["']?(?:https?:)?\/\//);
  }
});

test('the policy lets nothing else load, run or frame it', () => {
  expect(directive('default-src')).toEqual(["'none'"]);
  expect(directive('connect-src')).toEqual(["'self'"]);
  expect(directive('frame-ancestors')).toEqual(["'none'"]);
  expect(directive('base-uri')).toEqual(["'none'"]);
  for (const source of directive('script-src').concat(
    directive('font-src'),
    directive('img-src'),
    directive('worker-src'),
  )) {
    expect(source).toMatch(/^('self'|'sha256-[A-Za-z0-9+/=]+'|data:|blob:)$/);
  }
});

test('the only script that may run is the one in the page', () => {
  const script = page.html.slice(
    page.html.indexOf('<script>') + '<script>'.length,
    page.html.lastIndexOf('</script>'),
  );
  const hash = createHash('sha256').update(script).digest('base64');
  expect(directive('script-src')).toEqual([`'sha256-${hash}'`]);
});

test('a code is exchanged for a key that works, once', async () => {
  const code = await app.app.explorerCodes.issue();
  const answer = await exchange(code, { origin: app.url });
  expect(answer.status).toBe(200);
  expect(answer.headers.get('cache-control')).toBe('no-store');
  const { key } = (await answer.json()) as { key: string };
  expect((await app.graphql('{ __typename }', {}, { key })).data).toEqual({ __typename: 'Query' });
  const again = await exchange(code, { origin: app.url });
  expect(again.status).toBe(401);
  expect(await again.json()).toMatchObject({ error: { code: 'UNAUTHENTICATED' } });
});

test('two who exchange a code at the same time get one key', async () => {
  const code = await app.app.explorerCodes.issue();
  const answers = await Promise.all([exchange(code), exchange(code), exchange(code), exchange(code)]);
  expect(answers.map(({ status }) => status).sort()).toEqual([200, 401, 401, 401]);
});

test.each(['https://evil.example', 'null', 'not an origin'])(
  'a page of %s may not exchange a code, and does not use it up',
  async (origin) => {
    const code = await app.app.explorerCodes.issue();
    const refused = await exchange(code, { origin });
    expect(refused.status).toBe(403);
    expect(await refused.json()).toMatchObject({ error: { code: 'FORBIDDEN' } });
    expect((await exchange(code)).status).toBe(200);
  },
);

test('a code is of no use after ten minutes', async () => {
  const code = await app.app.explorerCodes.issue();
  const [row] = await app.database.query(
    'SELECT extract(epoch FROM expires_at - now())::float AS seconds FROM explorer_codes',
  );
  expect(row?.seconds).toBeGreaterThan(590);
  expect(row?.seconds).toBeLessThanOrEqual(600);
  await app.database.query(`UPDATE explorer_codes SET expires_at = now() - interval '1 second'`);
  expect((await exchange(code)).status).toBe(401);
});

test('a browser that has the page is not sent it again', async () => {
  const tag = page.headers.get('etag') ?? '';
  const again = await fetch(`${app.url}/graphql`, { headers: { accept: 'text/html', 'if-none-match': tag } });
  expect(again.status).toBe(304);
  expect(again.headers.get('content-security-policy')).toBe(page.headers.get('content-security-policy'));
});
