import { Pool } from 'undici';
import { pagePath, type WireContact, type WirePageOfContacts } from '../contacts.ts';
import type { Setup } from './serve.ts';

const connections = 64;

/** How the peers fetch the page: the quickest client there is, and no more around it than they need. */
export function createUpstream({
  sandboxUrl,
  token,
}: Setup): (formula: string | null) => Promise<WireContact[]> {
  const pool = new Pool(sandboxUrl, { connections });
  const headers = { authorization: `Bearer ${token}` };
  return async (formula) => {
    const { statusCode, body } = await pool.request({ method: 'GET', path: pagePath(formula), headers });
    const page = (await body.json()) as WirePageOfContacts;
    if (statusCode !== 200) throw new Error(`The sandbox answered ${statusCode}`);
    return page.records;
  };
}
