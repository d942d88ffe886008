import { control, type TestApp } from '../support/app.ts';

export const crm = { baseId: 'appABC123', tableId: 'tblDEF456' };

let made = 0;

/** A person edits the base in the service's own pages: `count` new contacts, each in a transaction of its own. */
export async function addContacts(app: { sandbox: { url: string } }, count: number): Promise<string[]> {
  const ids: string[] = [];
  for (let index = 0; index < count; index += 1) {
    made += 1;
    const { created } = await control<{ created: string[] }>(app.sandbox.url, 'edits', {
      ...crm,
      create: [{ fields: { Name: `Contact ${made}` } }],
    });
    ids.push(...created);
  }
  return ids;
}

export async function edit(app: TestApp, what: object): Promise<void> {
  await control(app.sandbox.url, 'edits', { ...crm, ...what });
}

export interface LedgerChange {
  sequence: number;
  tableId: string;
  recordId: string;
  kind: 'created' | 'updated' | 'destroyed';
  transaction: number;
}

/** What really happened in the CRM base after a sequence number, as lines that can be compared. */
export async function ledger(app: TestApp, after = 0): Promise<string[]> {
  const { changes } = await control<{ changes: (LedgerChange & { baseId: string })[] }>(
    app.sandbox.url,
    `changes?after=${after}`,
  );
  return changes
    .filter(({ baseId }) => baseId === crm.baseId)
    .map(({ kind, recordId }) => `${kind === 'destroyed' ? 'deleted' : kind} ${recordId}`);
}

export async function ledgerEnd(app: TestApp): Promise<number> {
  const { changes } = await control<{ changes: LedgerChange[] }>(app.sandbox.url, 'changes');
  return changes.at(-1)?.sequence ?? 0;
}

/** The same lines from what a subscriber was told. */
export function told(changes: { kind?: string; recordId?: string }[]): string[] {
  return changes.map(({ kind, recordId }) => `${kind?.toLowerCase()} ${recordId}`);
}

/** Pings are dropped until further notice, or no longer. */
export async function dropPings(app: TestApp, drop: boolean): Promise<void> {
  await control(app.sandbox.url, 'pings', { drop });
}

export async function countCalls(app: TestApp, endpoint: string): Promise<number> {
  const { byEndpoint } = await control<{ byEndpoint: Record<string, number> }>(app.sandbox.url, 'calls');
  return byEndpoint[endpoint] ?? 0;
}
