import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { OtherAction } from '../../src/audit/audit-event.ts';
import { startTestApp, type TestApp } from '../support/app.ts';

const someone = { id: 'key:7', name: 'Anna' };

let app: TestApp;
beforeAll(async () => {
  app = await startTestApp();
});
afterAll(() => app.close());

const entry = async (id: string) =>
  (await app.database.query('SELECT * FROM audit_entries WHERE id = $1', [id]))[0];

describe('the audit log', () => {
  test('keeps what was recorded', async () => {
    await app.app.audit.record({
      actor: someone,
      action: 'forgetApiKeys',
      outcome: 'ok',
      connectionId: 3,
      target: 'drawer:1',
      details: { pairs: 12, odd: '\0\uD800x' },
      requestId: 'r',
    });
    const [kept] = await app.database.query(`SELECT * FROM audit_entries WHERE action = 'forgetApiKeys'`);
    expect(kept).toMatchObject({
      actor_id: 'key:7',
      actor_name: 'Anna',
      connection_id: 3,
      target: 'drawer:1',
      outcome: 'ok',
      details: { pairs: 12, odd: 'x' },
      request_id: 'r',
    });
  });

  test('cuts what is too long, rather than losing the entry', async () => {
    await app.app.audit.record({
      actor: { id: 'x'.repeat(300), name: '👩‍🚀'.repeat(300) },
      action: 'a'.repeat(300) as OtherAction,
      outcome: 'O'.repeat(300),
      target: 't'.repeat(300),
      details: Object.fromEntries(Array.from({ length: 50 }, (_, at) => [`fact${at}`, '"'.repeat(300)])),
    });
    const [kept] = await app.database.query(`SELECT * FROM audit_entries WHERE action LIKE 'aaa%'`);
    expect(kept).toMatchObject({ target: 't'.repeat(200), details: { detailsCut: true } });
  });

  test('completes an entry once, and changes nothing else of it', async () => {
    const { audit } = app.app;
    const id = await audit.begin({ actor: someone, action: 'weigh', details: { given: 'x' } });
    expect(await entry(id)).toMatchObject({ outcome: null, completed_at: null });
    await audit.end(id, { outcome: 'ok', connectionId: 5, details: { grams: 3, given: 'y' } });
    const ended = await entry(id);
    expect(ended).toMatchObject({ outcome: 'ok', connection_id: 5, details: { grams: 3, given: 'x' } });
    await audit.end(id, { outcome: 'INTERNAL' });
    expect(await entry(id)).toEqual(ended);
  });

  test.each([
    `UPDATE audit_entries SET outcome = 'ok' WHERE id = $1`,
    `UPDATE audit_entries SET outcome = NULL WHERE id = $1`,
    `UPDATE audit_entries SET actor_id = 'nobody' WHERE id = $1`,
    `DELETE FROM audit_entries WHERE id = $1`,
    `WITH one AS (SELECT $1) , gone AS (DELETE FROM audit_entries RETURNING 1) SELECT * FROM gone`,
  ])('is append-only for PostgreSQL itself: %s', async (statement) => {
    const id = await app.app.audit.begin({ actor: someone, action: 'weigh' });
    await app.app.audit.end(id, { outcome: 'DENIED' });
    const before = await entry(id);
    await expect(app.database.query(statement, [id])).rejects.toThrow('append-only');
    expect(await entry(id)).toEqual(before);
  });

  test.each([
    `actor_id = 'nobody', outcome = 'ok'`,
    `actor_name = 'nobody', outcome = 'ok'`,
    `action = 'other', outcome = 'ok'`,
    `at = at - interval '1 day', outcome = 'ok'`,
    `connection_id = 2, outcome = 'ok'`,
    `connection_id = NULL, outcome = 'ok'`,
    `target = 'key:2', outcome = 'ok'`,
    `details = '{}', outcome = 'ok'`,
    `details = '{"role": "viewer"}', outcome = 'ok'`,
    `request_id = NULL, outcome = 'ok'`,
    `target = 'key:1'`,
  ])('takes nothing back while it completes an entry: %s', async (change) => {
    const id = await app.app.audit.begin({
      actor: someone,
      action: 'weigh',
      connectionId: 1,
      target: 'key:1',
      details: { role: 'admin' },
      requestId: 'r',
    });
    const before = await entry(id);
    await expect(
      app.database.query(`UPDATE audit_entries SET ${change} WHERE id = $1`, [id]),
    ).rejects.toThrow('append-only');
    expect(await entry(id)).toEqual(before);
  });

  test('can not be truncated', async () => {
    await expect(app.database.query('TRUNCATE audit_entries')).rejects.toThrow('append-only');
    await expect(app.database.query('TRUNCATE connections CASCADE')).resolves.toBeDefined();
    expect((await app.database.query('SELECT FROM audit_entries')).length).toBeGreaterThan(0);
  });
});

describe('retention', () => {
  const insertAged = (days: number, count: number) =>
    app.database.query(
      `INSERT INTO audit_entries (at, actor_id, actor_name, action, outcome)
       SELECT now() - make_interval(days => $1), 'server', 'the server', 'age' || $1::integer, 'ok' FROM generate_series(1, $2)`,
      [days, count],
    );
  const ages = async () =>
    app.database.query(
      `SELECT action, count(*)::integer AS count FROM audit_entries WHERE action LIKE 'age%' GROUP BY action ORDER BY action`,
    );

  test('deletes what is older, in batches, and nothing else', async () => {
    await insertAged(400, 5_001);
    await insertAged(366, 2);
    await insertAged(364, 3);
    expect(await app.app.audit.prune(365)).toBe(5_003);
    expect(await ages()).toEqual([{ action: 'age364', count: 3 }]);
    expect(await app.app.audit.prune(365)).toBe(0);
  });

  test('is no way to delete what is young, whoever asks', async () => {
    await insertAged(29, 1);
    await expect(app.database.query('SELECT prune_audit_entries(29, 10)')).rejects.toThrow(
      '30 days at least',
    );
    await expect(
      app.database.query(
        `WITH on_ AS MATERIALIZED (SELECT set_config('audit.pruning', 'on', false)) DELETE FROM audit_entries USING on_ WHERE action = 'age29'`,
      ),
    ).rejects.toThrow('append-only');
    expect(await ages()).toContainEqual({ action: 'age29', count: 1 });
  });
});
